"""A leaderboard: methods on several forget sets, from several originals, as stages of one store.

Each forget set has its own retrained models, which all originals share; a method is tuned once for each forget set, on
the first original. Every unlearned model is a candidate of its own, so that what differs between models is seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.experiment.checking import build
from unlearn_audit.experiment.config import Count, ForgetConfig, StudyConfig, study_source
from unlearn_audit.experiment.engines import engine_named
from unlearn_audit.experiment.stages import Progress, Stage, Store, with_needs
from unlearn_audit.experiment.stages.audit import StudyAudit
from unlearn_audit.experiment.stages.models import ModelStage
from unlearn_audit.experiment.stages.predictions import ModelPredictions
from unlearn_audit.experiment.stages.tuned import TunedMethod
from unlearn_audit.experiment.stages.unlearned import Unlearned
from unlearn_audit.experiment.standings import UNTOUCHED, JudgedModel, Standings, judged, without_model
from unlearn_audit.experiment.study import Planner, store_of
from unlearn_audit.experiment.yaml_source import Source
from unlearn_audit.folders import claim_folder
from unlearn_audit.names import checked_name

T = TypeVar("T")

# Seeds of originals are this far apart: between them are those of the retrained and unlearned models.
ORIGINALS_APART = 1_000


@dataclass(frozen=True, kw_only=True)
class LeaderboardConfig(StudyConfig):
    """A study on several forget sets, from several originals.

    Attributes:
        forget_sets: which training examples to forget, by the name to show; `forget` is the first of them.
        originals: how many, each from its own seed.
    """

    forget_sets: Mapping[str, ForgetConfig] = field(default_factory=dict)
    originals: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.forget_sets:
            checked_name(name, "a forget set")
        if self.unlearned or not isinstance(self.references, int) or (self.original and self.originals > 1):
            raise ConfigurationError(
                "Expected a leaderboard to make its own retrained and unlearned models, and its originals where there "
                "are several, got models that exist already. Audit those with unlearn-audit run."
            )
        if self.push is not None:
            raise ConfigurationError("Expected no push in a leaderboard, which has many models, got one.")

    def only(self, methods: Collection[str], forget_sets: Collection[str]) -> LeaderboardConfig:
        """Return the part with these methods and forget sets, by their names here; nothing stands for all.

        Raises:
            ConfigurationError: for a name that is not here.
        """
        kept = _those(self.forget_sets, forget_sets, "forget set")
        first = next(iter(kept.values()))
        return dataclasses.replace(
            self, methods=_those(self.methods, methods, "method"), forget_sets=kept, forget=first
        )


def _those(given: Mapping[str, T], names: Collection[str], what: str) -> Mapping[str, T]:
    for name in names:
        if name not in given:
            raise ConfigurationError(f"There is no {what} {name!r} in this leaderboard.{did_you_mean(name, given)}")
    return {name: value for name, value in given.items() if not names or name in names}


def read_leaderboard(path: str | Path, *, settings: Iterable[str] = ()) -> LeaderboardConfig:
    """Read the configuration of a leaderboard from YAML, as `config.read_study` does one of a study.

    Raises:
        ConfigurationError: for wrong keys and values, with file and line.
    """
    source = study_source(path, settings=settings, kind=LeaderboardConfig)
    several = source.content.get("forget_sets")
    if not isinstance(several, dict) or not several or "forget" in source.content:
        raise ConfigurationError(f"{path}: expected forget_sets, with a name for each, in place of forget.")
    content = {**source.content, "forget": next(iter(several.values()))}
    return build(Source(content, source.places), LeaderboardConfig)


@dataclass(frozen=True, eq=False)
class BoardPlanner(Planner):
    """Makes the stages for one forget set and one original, number `number` from 1."""

    forget_name: str
    number: int

    def original(self) -> ModelStage:
        """The original model of this number."""
        return self._original(self.number)

    def _original(self, number: int) -> ModelStage:
        config = dataclasses.replace(self.config, seed=self._seed_of(number))
        planner = Planner(config, self.images, self.forget_set)
        return dataclasses.replace(planner.original(), name=f"original-{number}")

    def _seed_of(self, number: int) -> int:
        return self.config.seed + ORIGINALS_APART * (number - 1)

    def retrained(self, name: str, seed: int) -> ModelStage:
        """A model that never saw the forget set; all originals share it."""
        return super().retrained(f"{self.forget_name}-{name}", seed)

    def unlearned(self, label: str, original: ModelStage, j: int) -> Unlearned:
        """The unlearned model number `j`, from 1, of the method."""
        made = super().unlearned(label, original, j)
        return dataclasses.replace(made, name=f"{self.forget_name}-{label}-{self.number}-{j}", spared=True)

    def tuned(self, label: str, original: ModelStage) -> TunedMethod:
        """The search, which is done on the first original for all of them."""
        made = super().tuned(label, self._original(1))
        return dataclasses.replace(made, name=f"tune-{self.forget_name}-{label}", spared=True)

    def audit(self) -> StudyAudit:
        """The audit of all unlearned models, each by itself."""
        audit = super().audit()
        models: dict[str, tuple[ModelPredictions, ...]] = {}
        seeds = {"original": self._seed_of(self.number)}
        for label, of in audit.candidates.items():
            for j, model in enumerate(of, start=1):
                models[f"{label}-{j}"], seeds[f"{label}-{j}"] = (model,), self.config.seed + j
        found = dataclasses.replace(
            audit,
            name=f"audit-{self.forget_name}-{self.number}",
            title=f"{audit.title}: {self.forget_name}, original {self.number}",
            forget=dataclasses.replace(audit.forget, name=f"forget-{self.forget_name}"),
            methods={name: audit.methods[name.rpartition("-")[0]] for name in models},
            candidates=models,
            seeds=seeds,
        )
        seal = dataclasses.replace(self.seal(found), name=f"seal-{self.forget_name}-{self.number}")
        return dataclasses.replace(found, seal=seal)

    def written(self) -> str:
        """Nothing: the whole board is no study that `run` takes."""
        return ""


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A configuration as stages in one store.

    Args:
        config: what to do.
        store: the folder of the stages.
        audits: one for each forget set and number of an original.
    """

    config: LeaderboardConfig
    store: Store
    audits: Mapping[tuple[str, int], StudyAudit]

    @classmethod
    def plan(cls, config: LeaderboardConfig, output: str | Path | None = None) -> Leaderboard:
        """Load the data, choose the forget sets and plan the stages; `output` is by default runs/<name>."""
        data = config.data.load()
        audits = {}
        for name, forget in config.forget_sets.items():
            chosen = forget.choose(data.train)
            for number in range(1, config.originals + 1):
                planner = BoardPlanner(dataclasses.replace(config, forget=forget), data, chosen, name, number)
                audits[name, number] = planner.audit()
        return cls(config, store_of(config, output), audits)

    def stages(self, *, models_only: bool = False) -> tuple[Stage, ...]:
        """Return all stages, or only those that models need, each after what it needs."""
        stages = with_needs(self.audits.values())
        return with_needs(stage for stage in stages if isinstance(stage, ModelStage)) if models_only else stages

    def run(
        self,
        *,
        engine: str = "serial",
        jobs: int | None = None,
        models_only: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Complete the stages; `engine` and `jobs` as `Study.run` takes them.

        Raises:
            ConfigurationError: where there is no such engine, or the folder holds anything but a study.
        """
        claim_folder(self.store.root, "study")
        engine_named(engine, jobs)(self.stages(models_only=models_only), self.store, progress or Progress())

    def standings(self) -> Standings:
        """Return what all audits found, by method and forget set.

        Raises:
            ConfigurationError: where an audit is not done.
        """
        found = [model for key in self.audits for model in self._judged(*key)]
        return Standings.of(self.config.title, self.config.tuning.trials, found)

    def _judged(self, forget: str, number: int) -> Iterable[JudgedModel]:
        audit = self.audits[forget, number]
        self.store.results(audit)
        report = AuditReport.load(self.store.folder(audit) / "report")
        for name, (predictions,) in audit.candidates.items():
            model = predictions.model
            tuned = model.tuned if isinstance(model, Unlearned) else None
            seconds = 0.0 if tuned is None else self._seconds(tuned)
            if name in report.judgements:
                yield judged(report, name, forget=forget, tuning_seconds=seconds)
            else:
                yield without_model(report, name, forget=forget, tuning_seconds=seconds)
        if UNTOUCHED in report.judgements:
            yield dataclasses.replace(judged(report, UNTOUCHED, forget=forget), cost=None, tuning_cost=None)

    def _seconds(self, tuned: TunedMethod) -> float:
        return float(sum(trial["seconds"] for trial in self.store.results(tuned)["trials"]))
