"""The configuration of a study: frozen dataclasses, read from YAML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from unlearn_audit.auditing.policy import Policy, measure_of_pattern
from unlearn_audit.data import ForgetSet, ImageData, Images, load_images
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.checking import build, option_fields, validated
from unlearn_audit.experiment.command import RetrainConfig
from unlearn_audit.experiment.given import GivenConfig
from unlearn_audit.experiment.measured import Measured
from unlearn_audit.experiment.trackers import Tracker
from unlearn_audit.experiment.tuning import SearchConfig
from unlearn_audit.experiment.yaml_source import Key, Source, override, read_yaml
from unlearn_audit.id_files import read_column
from unlearn_audit.measures import registry as measures
from unlearn_audit.methods import registry as methods
from unlearn_audit.models.adapting import Trained
from unlearn_audit.names import checked_name
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions.names import Names
from unlearn_audit.remote.sources import at_hand
from unlearn_audit.training import TrainingConfig

if TYPE_CHECKING:
    from unlearn_audit.methods.base import UnlearningCallback

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_RESERVED = re.compile(r"(seal|original|untrained|forget|audit|report|held-out|retrained-\d+|(predict|tune)-.*)$")
# Arguments that lead timm and transformers to files, pickles among them, or replace what comes in and out of a model.
LOADING = re.compile(
    r"(pretrained|checkpoint|cache|hf_|trust_|torchscript|features_only|out_indices|scriptable|exportable|no_jit|"
    r"num_classes|num_labels|id2label|label2id|label_names|in_chans|num_channels|model_args|architecture|"
    r"_|name_or_path|auto_map|custom)"
)
Count = Annotated[int, Field(ge=1, le=10_000)]  # of models, trials, threads
Examples = Annotated[int, Field(ge=1, le=10_000_000)]  # a batch
Pixels = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # with room for those that are counted from it, below NumPy's 2**32
Title = Annotated[str, Field(max_length=300)]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from; the fields are those of `load_images`."""

    source: str
    image_column: str | None = None
    label_column: str | None = None
    image_size: Pixels | None = None
    revision: str | None = None
    cache_dir: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    flip: bool = True
    processor: str | None = None
    ids: str | None = None
    skip_unreadable: bool = False
    class_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def load(self) -> ImageData:
        """Load the training and test images."""
        return load_images(**dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class ForgetConfig:
    """Which training examples to forget: of one class (`label`), listed in a `file`, or a `fraction` of all.

    Attributes:
        label: index or name of a class.
        file: of ids or file names: txt, csv, json or parquet, here or on the Hub, `hf://…`.
        column: of the file and of the data, by whose values examples are chosen: `customer_id`.
        fraction: share of the class, or of all training examples, in (0, 1].
        seed: of the choice.
        atypical: take the least typical examples of the class in place of random ones.
    """

    label: int | str | None = None
    file: str | None = None
    column: str | None = None
    fraction: float | None = None
    seed: Seed = 0
    atypical: bool = False

    def __post_init__(self) -> None:
        if (self.label, self.file, self.fraction) == (None, None, None):
            raise ConfigurationError("Expected label, file or fraction to say what to forget, got none of them.")
        if self.file is not None and (self.label, self.fraction) != (None, None):
            raise ConfigurationError("Expected a file of ids alone, or label and fraction, got both.")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigurationError(f"Expected a fraction in (0, 1], got {self.fraction}.")
        if self.column is not None and self.file is None:
            raise ConfigurationError(f"Expected a file with the column {self.column!r}, got none.")
        if self.atypical and self.label is None:
            raise ConfigurationError("Expected a label with atypical, to say of which class, got none.")

    def choose(self, images: Images) -> ForgetSet:
        """Choose the forget set among the training images."""
        if self.file is not None:
            with at_hand(self.file) as file:
                if self.column is not None:
                    return ForgetSet.by_column(images, self.column, read_column(file, self.column))
                return ForgetSet.from_file(images, file)
        if self.label is None:
            return ForgetSet.random(images, fraction=self.fraction, seed=self.seed)
        fraction = 1.0 if self.fraction is None else self.fraction
        return ForgetSet.by_class(images, self.label, fraction=fraction, seed=self.seed, atypical=self.atypical)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What all models start from: an architecture, or a checkpoint.

    Attributes:
        name: of an architecture of timm (`resnet20`) or of transformers (`vit`), which starts from random weights; or a
            checkpoint: a folder, a Hub id, `hub:USER/NAME[@REVISION]` or `hf://USER/NAME[@REVISION][/FOLDER]`.
        arguments: that the architecture takes, or that are put over the configuration of transformers.
        pretrained: true takes a timm architecture's own checkpoint; false takes a checkpoint's configuration alone.
        trained: what of the model is trained: "all", its "head", or "lora": adapters, which are merged at the end.
        lora: options of PEFT's `LoraConfig`, for example `{r: 8}`.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool | None = None
    trained: Trained = "all"
    lora: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "pretrained" in self.arguments:
            raise ConfigurationError("Expected `pretrained` beside `arguments`, got it inside `arguments`.")
        loading = sorted(name for name in self.arguments if LOADING.match(name))
        if loading:
            raise ConfigurationError(
                f"arguments: expected what the architecture is made of, got {loading[0]!r}, which says what to load or "
                "what comes out. Leave it out; a checkpoint is named by `name`, and the data give the classes."
            )
        if self.lora and self.trained != "lora":
            raise ConfigurationError(f"Expected trained: lora with options of `lora`, got trained: {self.trained}.")


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """How predictions are computed: examples a forward pass (None: what suits the device), "float32" or "bfloat16"."""

    batch_size: Examples | None = None
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """An unlearning method with its options and training settings.

    A configuration gives the options next to `method`, `training` and `search`; it may leave out all that the method
    has a default for.

    Attributes:
        method: name of the method, as `unlearn-audit methods` lists it.
        options: the method's fields, without its seed.
        training: how it trains: the method's own defaults, with what the configuration changes.
        search: learning rates, numbers of epochs and options to try, in place of the given ones; "default" tries what
            the method names itself, None takes the training as it is.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingConfig
    search: SearchConfig | None = None

    @staticmethod
    def entry_type(entry: Mapping[str, Any]) -> type:
        """Return the dataclass whose fields are the keys that may stand in a configuration's `entry` of a method.

        Raises:
            ConfigurationError: where there is no such method.
        """
        plugin = methods.load(str(entry["method"]))
        keys: list[Any] = [("method", str), ("training", TrainingConfig), ("search", SearchConfig | None, None)]
        return dataclasses.make_dataclass("Entry", [*keys, *_options(plugin)], kw_only=True)

    @classmethod
    def from_entry(cls, entry: Any) -> MethodConfig:
        """Check a configuration's entry of a method, as plain values.

        Raises:
            pydantic.ValidationError: for a wrong key or value.
            ConfigurationError: where there is no such method, or it refuses its options.
        """
        if not isinstance(entry, dict):
            raise PydanticKnownError("dict_type")
        plugin = methods.load(str(entry["method"]))
        training = entry.get("training") or {}
        if isinstance(training, dict):
            training = {**plugin.training_defaults, **training}
        given = sorted(each.name for each in dataclasses.fields(plugin) if _is_incidental(each) and each.name in entry)
        if given:
            raise ConfigurationError(f"{given[0]}: a study chooses this itself. Leave it out.")
        entry = {**entry, "training": training, "search": _search_of(plugin, entry.get("search"))}
        found: Any = validated(entry, cls.entry_type(entry))
        options = {name: getattr(found, name) for name, *_ in _options(plugin)}
        made = cls(method=found.method, options=options, training=found.training, search=found.search)
        for searched in found.search.corners() if found.search else [{}]:
            made.make(seed=0, **searched)  # the method checks its options itself
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.from_entry)

    def with_found(self, tuned: Mapping[str, Any]) -> MethodConfig:
        """Return the method with the training and the options that a search found; see the stage `TunedMethod`."""
        training = dataclasses.replace(self.training, **tuned["found"])
        return dataclasses.replace(self, training=training, options={**self.options, **tuned["options"]})

    def make(self, *, seed: int, **options: Any) -> UnlearningCallback:
        """Return the method itself, which a Trainer takes as a callback."""
        return methods.load(self.method)(**{**self.options, **options}, seed=seed)


def _search_of(plugin: type, given: Any) -> Any:
    """Return what to search: `default` stands for the method's own space, nothing or false for no search."""
    if given != "default":
        return given or None
    space = getattr(plugin, "search_space", None)
    if not space:
        raise ConfigurationError("search: this method does not say what to try; name learning_rate, epochs or options.")
    return dict(space)


def _is_incidental(each: dataclasses.Field[Any]) -> bool:
    return bool(each.metadata.get("incidental"))


def _options(plugin: type) -> list[tuple[str, Any, Any]]:
    """Return name, type and field of each option of a method; seeds come from the study."""
    types = option_fields(plugin)
    return [
        (each.name, types[each.name], field(default=each.default, default_factory=each.default_factory))
        for each in dataclasses.fields(plugin)
        if each.name in types and each.name != "seed"
    ]


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How the methods that have a `search` are tuned: with the same number of trials each.

    Attributes:
        trials: unlearned models that are made for each method, and compared with a retrained model held out for it.
        strata: how many of the nearest strata count as near.
        most_cost: only trials that took at most this share of the held-out model's retraining, in wall time, can be
            chosen: methods are then compared at one cost. None sets no limit.
    """

    trials: Count = 10
    strata: Count = 2
    most_cost: Annotated[float, Field(gt=0)] | None = field(default=None, metadata={"added": True})


def _with_known_measure(policy: Policy) -> Policy:
    measure_of_pattern(policy)
    return policy


def _with_known_proximity(config: NeighbourhoodConfig) -> NeighbourhoodConfig:
    config.make_proximity()
    return config


def _known_measure(name: str) -> str:
    measures.create(name)
    return name


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise ConfigurationError(f"Expected each measure once, got {twice[0]!r} again.")
    return names


# Names that an audit would refuse at the end are refused before any training.
KnownMeasure = Annotated[str, AfterValidator(_known_measure)]
CheckedPolicy = Annotated[Policy, AfterValidator(_with_known_measure)]
CheckedNeighbourhood = Annotated[NeighbourhoodConfig, AfterValidator(_with_known_proximity)]


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """How to audit.

    Attributes:
        title: of the report.
        neighbourhood: how proximity and strata are made.
        measures: pointwise measures to report, by name; all where there are none.
        policy: what the verdicts rest on.
        names: of columns, splits and classes in files of predictions that somebody else wrote.
    """

    title: Title = "Unlearning audit"
    neighbourhood: CheckedNeighbourhood = field(default_factory=NeighbourhoodConfig)
    measures: Annotated[tuple[KnownMeasure, ...], AfterValidator(_each_once)] = ()
    policy: CheckedPolicy = field(default_factory=Policy)
    names: Names = field(default_factory=Names)


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """Where `unlearn-audit run` publishes an unlearned model with its audit, once the study is done.

    Attributes:
        repo_id: `user/name` on the Hub.
        candidate: which one; needed where there are several.
        private: make a private repository, if it is new.
        revision: branch to push to.
        license: for the card's metadata; by default what the model's card, or its base model's, says.
        base_model: Hub id of the model before unlearning; by default where it was loaded from, and '' names none.
        allow_failing: publish a model that failed, too; its card says so first.
    """

    repo_id: str
    candidate: str | None = None
    private: bool = False
    revision: str | None = None
    license: str | None = None
    base_model: str | None = None
    allow_failing: bool = False


@dataclass(frozen=True, kw_only=True)
class StudyConfig(AuditConfig):
    """A whole study: how to audit, and what comes before.

    Attributes:
        name: of the study, and of its folder under `runs/`; by default the file's.
        data: where the images come from.
        forget: which training examples to forget.
        model: what all models start from.
        training: of the original and the retrained models.
        original: an original that exists already: a model's folder, a Hub id, or a file of predictions, here or on the
            Hub (`hub:USER/NAME@REVISION`, `hf://datasets/USER/NAME/FILE`); it is not trained then.
        retrain: how to retrain by a command of your own; by default the retrained models are trained as `model` and
            `training` say.
        references: K, the number of retrained models, each from its own seed; or a list of models and files of
            predictions that exist already.
        unlearned: unlearned models that exist already, by the name to show, as `original` names one.
        candidates: J, how many unlearned models a method makes, each from its own seed.
        seed: of the original model; the retrained models and the methods' seeds follow from it.
        methods: the unlearning methods, by the name to show.
        tuning: of the methods that have a `search`.
        predictions: how predictions are computed.
        push: where to publish an unlearned model with its audit at the end; by default nowhere.
        threads: of the CPU, for each stage; by default those that are free when the run begins. Small models are far
            faster with 1.
        report_to: trackers that get the curves of each training and what the audit found, in a run named as the stage:
            trackio, tensorboard, wandb. It changes no figure.
        measured: what came out for the one method, where the configuration is a recipe; it changes nothing.
    """

    name: str = "study"
    data: DataConfig
    forget: ForgetConfig
    model: ModelConfig | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    original: str | GivenConfig | None = None
    retrain: RetrainConfig | None = None
    references: Count | tuple[str | GivenConfig, ...] = 3
    unlearned: Mapping[str, str | GivenConfig] = field(default_factory=dict)
    candidates: Count = 1
    seed: Seed = 0
    methods: Mapping[str, MethodConfig] = field(default_factory=dict)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    predictions: PredictionConfig = field(default_factory=PredictionConfig)
    push: PushConfig | None = None
    threads: Count | None = None
    report_to: Tracker | tuple[Tracker, ...] | None = None
    measured: Measured | None = None

    def __post_init__(self) -> None:
        if self.measured is not None and len(self.methods) != 1:
            raise ConfigurationError(
                f"Expected one method in a recipe, which says what was `measured`, got {len(self.methods)}."
            )
        if not self.methods and not self.unlearned:
            raise ConfigurationError("Expected at least one entry under methods or unlearned, got none.")
        self._check_models()
        checked_name(self.name, "the study")
        for name in (*self.methods, *self.unlearned):
            checked_name(name, "an entry under methods")
            if not _NAME.fullmatch(name) or _RESERVED.match(name):
                raise ConfigurationError(
                    "Expected names under methods of letters, digits, '_', '-', '+' and '.', which no other "
                    f"stage has, got {name!r}."
                )

    @property
    def num_references(self) -> int:
        """K, the number of retrained models."""
        return self.references if isinstance(self.references, int) else len(self.references)

    def _check_models(self) -> None:
        """Refuse a configuration that does not say where a model comes from, or says it twice."""
        retrained = isinstance(self.references, int)
        trains = self.original is None or (retrained and self.retrain is None)
        if self.model is None and trains:
            raise ConfigurationError(
                "Expected a model to start from, which the "
                f"{'original is' if self.original is None else 'references are'} trained from, got none."
            )
        if self.retrain is not None and not retrained:
            raise ConfigurationError("Expected a number of references with retrain, got a list of models.")
        repeated = sorted(self.methods.keys() & self.unlearned.keys())
        if repeated:
            raise ConfigurationError(f"Expected each name once under methods and unlearned, got {repeated[0]!r} twice.")


def read_study(path: str | Path, *, settings: Iterable[str] = ()) -> StudyConfig:
    """Read the configuration of a study from YAML, with `settings` ("dotted.key=value") put over it.

    Raises:
        ConfigurationError: for wrong keys and values, all of them, with file and line and the nearest right one.
    """
    return build(study_source(path, settings=settings), StudyConfig)


def study_source(path: str | Path, *, settings: Iterable[str] = (), kind: type[StudyConfig] = StudyConfig) -> Source:
    """Read the same as plain values that know where they were written."""
    source = _with_whole_sections(override(read_yaml(path), settings), kind)
    content = {"name": Path(path).stem, **source.content}
    if isinstance(content.get("methods"), dict):
        content["methods"] = {
            name: _with_method(name, entry) for name, entry in content["methods"].items() if entry is not False
        }
    return Source(content, source.places)


def _with_method(name: str, entry: Any) -> Any:
    """Return the entry of a method with the key `method`, which is the entry's own name where nothing else is said."""
    entry = {} if entry is None else entry
    return {"method": name, **entry} if isinstance(entry, dict) else entry


def _with_whole_sections(source: Source, kind: type) -> Source:
    """Take a section with nothing in it for one in which nothing is changed; YAML reads it as null."""
    if not isinstance(source.content, dict):
        raise ConfigurationError(f"{source.places[()]}: expected keys and values, got {source.content!r}.")
    types = option_fields(kind)
    content = {
        name: {} if item is None and dataclasses.is_dataclass(types.get(name)) else item
        for name, item in source.content.items()
    }
    return Source(content, source.places)


def written(config: StudyConfig) -> str:
    """Return a study's configuration as YAML, of which `read_study` makes the same but that nothing is pushed."""
    import yaml
    from pydantic_core import to_jsonable_python

    again = dataclasses.replace(config, push=None, report_to=None)  # who trains again publishes nothing
    content = to_jsonable_python(again)
    content["methods"] = {name: _entry(method) for name, method in config.methods.items()}
    return yaml.safe_dump(_without_nothing(content), sort_keys=False, allow_unicode=True)


def _entry(method: MethodConfig) -> dict[str, Any]:
    """Return a method as a configuration gives it, without what a study chooses itself."""
    from pydantic_core import to_jsonable_python

    chosen = {each.name for each in dataclasses.fields(methods.load(method.method)) if _is_incidental(each)}
    plain = to_jsonable_python(method)
    options = {name: value for name, value in plain.pop("options").items() if name not in chosen}
    return {**plain, **options}


def _without_nothing(value: Any) -> Any:
    """Leave out keys without a value, which are defaults."""
    if not isinstance(value, dict):
        return value
    return {name: _without_nothing(item) for name, item in value.items() if item is not None}


def read_settings(path: str | Path, *, settings: Iterable[str] = ()) -> dict[str, Any]:
    """Read the same as keys and values, as a person wrote them; where the data are stays as the file says.

    Raises:
        ConfigurationError: where the file is no YAML, or a setting does not fit.
    """
    places = ("data.source=", "data.cache_dir=")
    kept = [setting for setting in settings if not setting.startswith(places)]
    return dict(override(read_yaml(path), kept).content)


def read_audit(path: str | Path | None, *, settings: Iterable[str] = ()) -> AuditConfig:
    """Read how to audit from YAML (or take the defaults), with `settings` ("dotted.key=value") put over it.

    Raises:
        ConfigurationError: for wrong keys and values, all of them, with file and line and the nearest right one.
    """
    source = Source({}, {(): "--set"}) if path is None else read_yaml(path)
    return build(_with_whole_sections(override(source, settings), AuditConfig), AuditConfig)


def from_settings(kind: type[T], settings: Iterable[str], *, flag: str = "--set", **given: Any) -> T:
    """Build a configuration from "key=value" settings alone, put over what is `given`.

    Raises:
        ConfigurationError: for wrong keys and values, all of them, and the nearest right one.
    """
    places: dict[Key, str] = {(): flag, **{(name,): f"--{name}" for name in given}}
    return build(override(Source(given, places), settings, flag=flag), kind)
