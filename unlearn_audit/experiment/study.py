"""A study as stages: what a configuration, its data and its forget set ask for, and running it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from unlearn_audit.data import ForgetSet, ImageData
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.experiment.command import PlannedCommand
from unlearn_audit.experiment.config import MethodConfig, StudyConfig, written
from unlearn_audit.experiment.engines import engine_named
from unlearn_audit.experiment.given import GivenConfig, PlannedGiven
from unlearn_audit.experiment.planned_models import PlannedModel
from unlearn_audit.experiment.preflight import checked, least_memory
from unlearn_audit.experiment.stages import Progress, Stage, Store, stage_named, with_needs
from unlearn_audit.experiment.stages.audit import REFERENCE, StudyAudit
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.forget import SavedForgetSet
from unlearn_audit.experiment.stages.given import Given
from unlearn_audit.experiment.stages.models import ModelStage
from unlearn_audit.experiment.stages.predictions import ModelPredictions
from unlearn_audit.experiment.stages.report import Report
from unlearn_audit.experiment.stages.retrained_by_command import RetrainedByCommand
from unlearn_audit.experiment.stages.seal import StudySeal
from unlearn_audit.experiment.stages.train import Original, Retrained
from unlearn_audit.experiment.stages.tuned import TunedMethod, needs_oracle
from unlearn_audit.experiment.stages.unlearned import Unlearned
from unlearn_audit.experiment.stages.untrained import Untrained
from unlearn_audit.experiment.trackers import Tracking
from unlearn_audit.experiment.weights import model_of
from unlearn_audit.experiment.yaml_source import Key
from unlearn_audit.files import replacing, set_aside
from unlearn_audit.folders import claim_folder
from unlearn_audit.predictions.names import Names
from unlearn_audit.remote.sources import placed
from unlearn_audit.saved.manifest import read_manifest

T = TypeVar("T")

# Tuning has seeds of its own, far from those of the models that are audited.
TUNING_SEED = 10_000


@dataclass(frozen=True, eq=False)
class Study:
    """A configuration as stages in a folder.

    Args:
        config: what to do.
        store: the folder of the stages.
        stages: all of them, each after what it needs; the last one is the report.
    """

    config: StudyConfig
    store: Store
    stages: tuple[Stage, ...]

    @classmethod
    def plan(
        cls, config: StudyConfig, output: str | Path | None = None, *, places: Mapping[Key, str] | None = None
    ) -> Study:
        """Load the data, choose the forget set and plan the stages.

        Args:
            config: what to do.
            output: folder of the study; by default runs/<name>.
            places: where each key was written, for errors.

        Raises:
            ConfigurationError: for all that does not fit the data, the architecture or this machine.
            DataError: for data that cannot be loaded.
        """
        store = store_of(config, output)
        data = config.data.load()
        planner = Planner(config, data, checked(config, data, store.root, places or {}))
        return cls(config, store, with_needs([planner.report()]))

    def run(
        self,
        *,
        engine: str = "serial",
        jobs: int | None = None,
        only: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Complete all stages, or the one named by `only` and what it needs; return the folder of the last.

        After all stages, `report` in the study's folder leads to the report.

        Args:
            engine: what runs the stages, by name. A script that asks for "processes" begins below
                `if __name__ == "__main__":`, as each process imports it.
            jobs: most stages side by side in processes of this machine; by default what cores and memory allow.
            only: a stage's name.
            progress: is told how it goes.

        Raises:
            ConfigurationError: where there is no such engine or stage, or the folder holds anything but a study.
        """
        stages = with_needs([stage_named(self.stages, only)]) if only else self.stages
        claim_folder(self.store.root, "study")
        engine_named(engine, jobs)(stages, self.store, progress or Progress())
        folder = self.store.folder(stages[-1])
        if only is None:
            _link(self.store.root / "report", folder / "report")
        return folder


@dataclass(frozen=True, eq=False)
class Planner:
    """Makes the stages of a study from its configuration, its data and its forget set."""

    config: StudyConfig
    images: ImageData
    forget_set: ForgetSet

    @cached_property
    def data(self) -> PlannedData:
        """The images, wherever a worker runs."""
        config = _with_absolute_paths(self.config.data, "source", "cache_dir", "processor")
        return PlannedData(self.images.fingerprint, config, config.ids)

    @cached_property
    def forget(self) -> PlannedForgetSet:
        """The forget set, wherever a worker runs."""
        return PlannedForgetSet(self.forget_set.hash, _with_absolute_paths(self.config.forget, "file"))

    def report(self) -> Report:
        """The last stage: what people read."""
        return Report(name="report", data=self.data, audit=self.audit())

    def audit(self) -> StudyAudit:
        """The audit of all methods."""
        config, original = self.config, self.original()
        description = self.forget_set.description
        audit = StudyAudit(
            name="audit",
            data=self.data,
            title=config.title,
            seed=config.seed,
            methods={label: method.method for label, method in config.methods.items()},
            neighbourhood=config.neighbourhood,
            measures=config.measures,
            policy=config.policy,
            forget=SavedForgetSet(name="forget", data=self.data, forget=self.forget, description=description),
            original=self.predictions(original),
            untrained=None if config.model is None else self.predictions(self.untrained()),
            references=tuple(self.predictions(reference) for reference in self.references()),
            candidates={
                label: tuple(
                    self.predictions(self.unlearned(label, original, j)) for j in range(1, config.candidates + 1)
                )
                for label in config.methods
            }
            | {label: (self.predictions(self.given(label, item)),) for label, item in config.unlearned.items()},
            study=self.written(),
        )
        return dataclasses.replace(audit, seal=self.seal(audit))

    def seal(self, audit: StudyAudit) -> StudySeal:
        """What the audit rests on, settled before its candidates are there."""
        alone = {"original": audit.original, "untrained": audit.untrained}
        models = {name: model for name, model in alone.items() if model is not None}
        models |= {f"{REFERENCE}-{k}": model for k, model in enumerate(audit.references, start=1)}
        return StudySeal(
            name="seal",
            data=self.data,
            forget=self.forget,
            neighbourhood=audit.neighbourhood,
            measures=audit.measures,
            policy=audit.policy,
            rests_on={f"predictions of {name}": model.hash for name, model in models.items()},
            candidates={
                name: tuple(stage.folder_name for each in of for stage in (each, each.model))
                for name, of in audit.candidates.items()
            },
            elsewhere=tuple(self.config.unlearned),
        )

    def written(self) -> str:
        """The configuration as YAML, which the report keeps."""
        return written(self.config)

    def predictions(self, model: ModelStage) -> ModelPredictions:
        """The predictions of one model on all examples."""
        config = self.config.predictions
        return ModelPredictions(
            name=f"predict-{model.name}",
            threads=self.config.threads,
            memory=self.memory,
            data=self.data,
            model=model,
            precision=config.precision,
            batch_size=config.batch_size,
            fallback=self._with_processor if isinstance(model, RetrainedByCommand) else None,
            names=self._names if isinstance(model, Given | RetrainedByCommand) else None,
        )

    @property
    def _names(self) -> Names | None:
        """What is called otherwise in predictions from elsewhere."""
        return None if self.config.names == Names() else self.config.names

    @cached_property
    def _with_processor(self) -> ModelStage | None:
        """An original from elsewhere, whose image processor its retrained models have too."""
        original = self.original()
        return original if isinstance(original, Given) and not original.given.is_predictions else None

    def original(self) -> ModelStage:
        """The original model."""
        if self.config.original is not None:
            return self.given("original", self.config.original)
        return Original(name="original", data=self.data, seed=self.config.seed, **self._training())

    def given(self, name: str, given: str | GivenConfig) -> Given:
        """A model that was made elsewhere."""
        return Given(name=name, data=self.data, given=PlannedGiven.plan(GivenConfig.of(given)))

    def references(self) -> list[ModelStage]:
        """The K retrained models."""
        asked = self.config.references
        if isinstance(asked, int):
            return [self.retrained(f"retrained-{k}", self.config.seed + k) for k in range(1, asked + 1)]
        return [self.given(f"retrained-{k}", given) for k, given in enumerate(asked, start=1)]

    def retrained(self, name: str, seed: int) -> ModelStage:
        """A model that never saw the forget set."""
        parts: dict[str, Any] = {"name": name, "data": self.data, "forget": self.forget, "seed": seed}
        if self.config.retrain is None:
            return Retrained(**parts, **self._training())
        return RetrainedByCommand(**parts, threads=self.config.threads, command=self.command)

    @cached_property
    def command(self) -> PlannedCommand:
        """The command that retrains."""
        if self.config.retrain is None:
            raise ConfigurationError("Expected a command under retrain, got none.")
        return PlannedCommand.plan(self.config.retrain)

    @cached_property
    def model(self) -> PlannedModel:
        """What all models start from, wherever a worker runs."""
        if self.config.model is None:
            raise ConfigurationError("Expected a model to start from, got none.")
        return PlannedModel.of(self.config.model)

    def _training(self) -> dict[str, Any]:
        config = self.config
        return {"model": self.model, "training": config.training, "threads": config.threads, "memory": self.memory}

    @cached_property
    def memory(self) -> int:
        """What a stage that computes with a model takes, in bytes, by estimate."""
        return least_memory(self.config, self.images)

    def untrained(self) -> Untrained:
        """The original model as it was before training."""
        return Untrained(name="untrained", data=self.data, model=self.model, seed=self.config.seed)

    def unlearned(self, label: str, original: ModelStage, j: int) -> Unlearned:
        """The unlearned model number `j`, from 1, of the method that the configuration calls `label`."""
        method = self.config.methods[label]
        if isinstance(original, Given) and original.given.is_predictions:
            raise ConfigurationError(
                f"Expected a model as the original, which {label!r} can make forget, got predictions. Give the model, "
                "or the unlearned models' predictions under unlearned."
            )
        return Unlearned(
            name=label if self.config.candidates == 1 else f"{label}-{j}",
            threads=self.config.threads,
            memory=self.memory,
            data=self.data,
            forget=self.forget,
            method=_without_search(method),
            seed=self.config.seed + j,
            original=original,
            tuned=self.tuned(label, original) if method.search else None,
            oracle=self.held_out() if needs_oracle(method) else None,
        )

    def tuned(self, label: str, original: ModelStage) -> TunedMethod:
        """The search for the learning rate and number of epochs of a method that has one."""
        config, method = self.config, self.config.methods[label]
        seed = config.seed + TUNING_SEED
        if method.search is None:
            raise ConfigurationError(f"Expected a search for the method {label!r}, got none.")
        return TunedMethod(
            name=f"tune-{label}",
            threads=config.threads,
            memory=self.memory,
            data=self.data,
            forget=self.forget,
            method=_without_search(method),
            search=method.search,
            tuning=config.tuning,
            neighbourhood=config.neighbourhood,
            policy=config.policy,
            seed=seed,
            original=original,
            original_predictions=self.predictions(original),
            held_out_predictions=self.predictions(self.held_out()),
        )

    def held_out(self) -> ModelStage:
        """A retrained model that no audit uses: what searches compare with."""
        return self.retrained("held-out", self.config.seed + TUNING_SEED)


def store_of(config: StudyConfig, output: str | Path | None) -> Store:
    """Return the folder of a study's stages, by default runs/<name>, and where they are logged."""
    root = Path(output) if output else Path("runs") / config.name
    return Store(root, Tracking.of(config.report_to, config.name, root))


def _without_search(method: MethodConfig) -> MethodConfig:
    return dataclasses.replace(method, search=None)


def _with_absolute_paths(config: T, *names: str) -> T:
    """Return a configuration with the paths that exist made absolute, for workers in other folders."""
    paths = {name: path for name in names if (path := getattr(config, name)) is not None and Path(path).exists()}
    return dataclasses.replace(config, **{name: str(Path(path).resolve()) for name, path in paths.items()})  # type: ignore[type-var]


def model_folder_of(report: str | Path, candidate: str | None = None) -> Path:
    """Return the folder of a candidate's model, for a report that a study made.

    Raises:
        ConfigurationError: where there is no such candidate, or the report is not a study's.
    """
    report = Path(report).resolve()  # `report` in a study's folder is a link, beyond which `..` leads elsewhere
    candidates = read_manifest(report).request.candidates
    if candidate is None and len(candidates) == 1:
        (candidate,) = candidates
    if candidate is None or candidate not in candidates:
        hint = did_you_mean(str(candidate), candidates)
        raise ConfigurationError(f"Expected the name of one candidate, got {candidate!r}.{hint}")
    found = model_of(placed(report, candidates[candidate].predictions[0]))
    if found is None:
        raise ConfigurationError(
            f"Expected the report of a study, which says where the model of {candidate!r} is, got another report, or "
            "one whose study was moved or damaged. Give the model's folder."
        )
    return found


def _link(link: Path, target: Path) -> None:
    if link.exists() and not link.is_symlink():  # a copy that followed links
        set_aside(link)
    with replacing(link) as draft:
        draft.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
