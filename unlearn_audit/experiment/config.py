"""The configuration of a study: frozen dataclasses, read from YAML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.verdict import Policy
from unlearn_audit.data import ForgetSet, ImageData, Images, load_images
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.building import build, check_keys, option_fields
from unlearn_audit.experiment.measured import Measured
from unlearn_audit.experiment.tuning import SearchConfig
from unlearn_audit.experiment.yaml_source import Value, override, read_yaml
from unlearn_audit.methods import registry as methods
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.training import TrainingConfig

if TYPE_CHECKING:
    from unlearn_audit.methods.base import UnlearningCallback

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_RESERVED = re.compile(r"(original|untrained|forget|audit|report|held-out|retrained-\d+|(predict|tune)-.*)$")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from; the fields are those of `load_images`."""

    source: str
    image_column: str | None = None
    label_column: str | None = None
    image_size: int | None = None
    revision: str | None = None
    cache_dir: str | None = None
    train_split: str = "train"
    test_split: str = "test"

    def load(self) -> ImageData:
        """Load the training and test images."""
        return load_images(**dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class ForgetConfig:
    """Which training examples to forget: of one class (`label`), listed in a `file`, or a `fraction` of all.

    Attributes:
        label: index or name of a class.
        file: of ids: txt, csv, json or parquet.
        fraction: share of the class, or of all training examples, in (0, 1].
        seed: of the choice.
    """

    label: int | str | None = None
    file: str | None = None
    fraction: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.label, self.file, self.fraction) == (None, None, None):
            raise ConfigurationError("Expected label, file or fraction to say what to forget, got none of them.")
        if self.file is not None and (self.label, self.fraction) != (None, None):
            raise ConfigurationError("Expected a file of ids alone, or label and fraction, got both.")

    def choose(self, images: Images) -> ForgetSet:
        """Choose the forget set among the training images."""
        if self.file is not None:
            return ForgetSet.from_file(images, self.file)
        if self.label is None:
            return ForgetSet.random(images, fraction=self.fraction, seed=self.seed)
        fraction = 1.0 if self.fraction is None else self.fraction
        return ForgetSet.by_class(images, self.label, fraction=fraction, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture of all models: a timm name, and the arguments that it takes."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """How predictions are computed: examples a forward pass, and "float32" or "bfloat16"."""

    batch_size: int = 512
    precision: str = "float32"


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """An unlearning method with its options and training settings.

    Attributes:
        method: name of the method, as `unlearn-audit methods` lists it.
        options: the method's fields, without its seed.
        training: how it trains: the method's own defaults, with what the configuration changes.
        search: learning rates and lengths to try, in place of the training's; None takes the training as it is.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingConfig
    search: SearchConfig | None = None

    @classmethod
    def from_value(cls, value: Value) -> MethodConfig:
        """Build from keys and values: `method` (by default the entry's own name), `training`, `search`, and options."""
        if value.content is None:
            value = dataclasses.replace(value, content={})
        if not isinstance(value.content, dict):
            raise value.error(f"expected keys and values, got {value.plain()!r}.")
        entries = dict(value.content)
        named = entries.pop("method", Value(value.key.split(".")[-1], value.place, value.key))
        training = entries.pop("training", Value({}, value.place, f"{value.key}.training"))
        search = entries.pop("search", None)
        plugin = _method(named)
        options = dataclasses.replace(value, content=entries)
        check_keys(options, [*option_fields(plugin).keys() - {"seed"}, "method", "training", "search"])
        made = build(options, plugin)
        return cls(
            method=named.content,
            options={name: getattr(made, name) for name in option_fields(plugin) if name != "seed"},
            training=_training(training, plugin.training_defaults),
            search=None if search is None or search.content in (None, False) else build(search, SearchConfig),
        )

    def make(self, *, seed: int, **options: Any) -> UnlearningCallback:
        """Return the method itself, which a Trainer takes as a callback."""
        return methods.load(self.method)(**{**self.options, **options}, seed=seed)


def _method(named: Value) -> type[UnlearningCallback]:
    if not isinstance(named.content, str):
        raise named.error(f"expected the name of a method, got {named.plain()!r}.")
    try:
        return methods.load(named.content)
    except ConfigurationError as error:
        raise named.error(str(error)) from error


def _training(value: Value, defaults: Mapping[str, Any]) -> TrainingConfig:
    if isinstance(value.content, dict):
        known = {name: Value(default, value.place, f"{value.key}.{name}") for name, default in defaults.items()}
        value = dataclasses.replace(value, content={**known, **value.content})
    return build(value, TrainingConfig)


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How the methods that have a `search` are tuned: with the same number of trials each.

    Attributes:
        trials: unlearned models that are made for each method, and compared with a retrained model held out for it.
        strata: how many of the nearest strata count as near; forget, near and far examples weigh the same.
    """

    trials: int = 10
    strata: int = 2

    def __post_init__(self) -> None:
        for name in ("trials", "strata"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"Expected {name} to be at least 1, got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """How to audit.

    Attributes:
        title: of the report.
        neighbourhood: how proximity and strata are made.
        measures: pointwise measures to report, by name; all where there are none.
        policy: what the verdicts rest on.
    """

    title: str = "Unlearning audit"
    neighbourhood: NeighbourhoodConfig = field(default_factory=NeighbourhoodConfig)
    measures: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, kw_only=True)
class StudyConfig(AuditConfig):
    """A whole study: how to audit, and what comes before.

    Attributes:
        name: of the study, and of its folder under `runs/`; by default the file's.
        data: where the images come from.
        forget: which training examples to forget.
        model: the architecture of all models.
        training: of the original and the retrained models.
        references: K, the number of retrained models, each from its own seed.
        candidates: J, how many unlearned models a method makes, each from its own seed.
        seed: of the original model; the retrained models and the methods' seeds follow from it.
        methods: the unlearning methods, by the name to show.
        tuning: of the methods that have a `search`.
        predictions: how predictions are computed.
        threads: of the CPU, for each stage; all by default. Small models are far faster with 1.
        measured: what came out for the one method, where the configuration is a recipe; it changes nothing.
    """

    name: str = "study"
    data: DataConfig
    forget: ForgetConfig
    model: ModelConfig
    training: TrainingConfig = field(default_factory=TrainingConfig)
    references: int = 3
    candidates: int = 1
    seed: int = 0
    methods: Mapping[str, MethodConfig] = field(default_factory=dict)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    predictions: PredictionConfig = field(default_factory=PredictionConfig)
    threads: int | None = None
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if self.measured is not None and len(self.methods) != 1:
            raise ConfigurationError(f"Expected one method in a recipe, got {len(self.methods)} beside `measured`.")
        for name in ("references", "candidates"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"Expected {name} to be at least 1, got {getattr(self, name)}.")
        if not self.methods:
            raise ConfigurationError("Expected at least one entry under methods, got none.")
        for name in self.methods:
            if not _NAME.fullmatch(name) or _RESERVED.match(name):
                raise ConfigurationError(
                    "Expected names under methods of letters, digits, '_', '-', '+' and '.', which no other "
                    f"stage has, got {name!r}."
                )


def read_study(path: str | Path, *, settings: Iterable[str] = ()) -> StudyConfig:
    """Read the configuration of a study from YAML, with `settings` ("dotted.key=value") put over it.

    Raises:
        ConfigurationError: for a wrong key or value, with its file and line and the nearest right one.
    """
    value = override(read_yaml(path), settings)
    value.content.setdefault("name", Value(Path(path).stem, value.place, "name"))
    return build(value, StudyConfig)


def read_settings(path: str | Path, *, settings: Iterable[str] = ()) -> dict[str, Any]:
    """Read the same as keys and values, as a person wrote them; where the data lie stays as the file says.

    Raises:
        ConfigurationError: where the file is no YAML, or a setting does not fit.
    """
    places = ("data.source=", "data.cache_dir=")
    return override(read_yaml(path), [setting for setting in settings if not setting.startswith(places)]).plain()


def read_audit(path: str | Path | None, *, settings: Iterable[str] = ()) -> AuditConfig:
    """Read how to audit from YAML (or take the defaults), with `settings` ("dotted.key=value") put over it.

    Raises:
        ConfigurationError: for a wrong key or value, with its file and line and the nearest right one.
    """
    value = Value({}, "--set") if path is None else read_yaml(path)
    return build(override(value, settings), AuditConfig)


def as_json(config: Any, *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return a dataclass as JSON, for the inputs of a stage; fields named in `without` are left out."""
    return {name: item for name, item in dataclasses.asdict(config).items() if name not in frozenset(without)}
