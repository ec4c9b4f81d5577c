"""The audit of all methods, from the predictions of all models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar

from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.report import COPIES, MADE_ELSEWHERE, AuditReport
from unlearn_audit.experiment.stages import forget as forget_stage
from unlearn_audit.experiment.stages import predictions
from unlearn_audit.experiment.stages.base import ADDED, INCIDENTAL, Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData
from unlearn_audit.experiment.stages.forget import SavedForgetSet
from unlearn_audit.experiment.stages.given import Given
from unlearn_audit.experiment.stages.predictions import ModelPredictions
from unlearn_audit.experiment.stages.retrained_by_command import RetrainedByCommand
from unlearn_audit.experiment.stages.seal import COLUMNS, StudySeal, write_strata
from unlearn_audit.files import write_text
from unlearn_audit.folders import claim_folder
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.running import REPORT, run_audit, save_audit
from unlearn_audit.saved.sealing import SEAL

REFERENCE = "retrained"
STUDY = "study.yaml"  # of a report's folder
NAMES = {"train": "retained", "test": "test examples"}


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyAudit(Stage):
    """The audit as figures.

    Attributes:
        seed: of the original; those of the retrained and of the unlearned models are counted from it.
        methods: name of the method by candidate.
        candidates: predictions of J unlearned models by candidate.
        references: predictions of K retrained models.
        seal: made before the candidates; the report carries it.
        seeds: of the original and of candidates, by name, where they are not counted from `seed`.
        study: the configuration, which the report keeps so that a reference can be trained again.
    """

    kind: ClassVar[str] = "audit"
    data: PlannedData
    title: str
    seed: int
    methods: Mapping[str, str]
    neighbourhood: NeighbourhoodConfig
    measures: tuple[str, ...]
    policy: Policy
    seal: StudySeal | None = field(default=None, metadata=ADDED)
    forget: SavedForgetSet
    original: ModelPredictions
    untrained: ModelPredictions | None
    references: tuple[ModelPredictions, ...]
    candidates: Mapping[str, tuple[ModelPredictions, ...]]
    seeds: Mapping[str, int] = field(default_factory=dict, metadata=ADDED)
    study: str = field(default="", metadata=INCIDENTAL)

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Audit all candidates."""
        base = workspace.folder.parent
        request = dataclasses.replace(self.request(workspace), columns=self._columns(workspace))
        found, folder = run_audit(request, base=base), workspace.folder / "report"
        if self.study:
            write_text(claim_folder(folder, REPORT) / STUDY, self.study)
        sealed = None if self.seal is None else workspace.folder_of(self.seal) / SEAL
        save_audit(found, request, folder, base=base, sealed=sealed)
        workspace.store.tracking.log_audit(found.report, self._runs(found.report))
        return {"verdicts": {name: verdict.outcome for name, verdict in found.report.verdicts.items()}}

    def _runs(self, report: AuditReport) -> dict[str, str]:
        """Return, for each candidate in the report, its model's name, or its own where it is several models."""
        made = {label: models for label, models in self.candidates.items() if label in report.verdicts}
        return {label: models[0].model.name if len(models) == 1 else label for label, models in made.items()}

    def _columns(self, workspace: Workspace) -> str | None:
        """Write the column of the data that strata are made of, if they are, and return its place as of all files."""
        if self.neighbourhood.make_strata().column_needed() is None:
            return None
        folder = claim_folder(workspace.folder / "report", REPORT)  # which goes on to the stage of the report
        write_strata(folder / COLUMNS, self.data.load(), self.neighbourhood)
        return f"{workspace.folder.name}/{folder.name}/{COLUMNS}"

    def request(self, workspace: Workspace) -> AuditRequest:
        """Return the audit's inputs as files, relative to the folder of all stages."""
        return AuditRequest(
            candidates={
                label: _files(workspace, models, seed=self._seed_of(label, 1), method=self.methods.get(label))
                for label, models in self.candidates.items()
                if not any(model.failed(workspace) for model in models)
            },
            references={
                f"{REFERENCE}-{k}": _files(workspace, [model], seed=self.seed + k)
                for k, model in enumerate(self.references, start=1)
            },
            forget=f"{self.forget.folder_name}/{forget_stage.FILE}",
            original=_files(workspace, [self.original], seed=self._seed_of("original", 0)),
            untrained=None if self.untrained is None else _files(workspace, [self.untrained], seed=self.seed),
            neighbourhood=self.neighbourhood,
            policy=self.policy,
            measures=self.measures,
            class_names=self.data.load().train.class_names,
            title=self.title,
            configuration=self._origins() | self._copies(workspace) | self._recomputing() | self._seen(workspace),
        )

    def _seed_of(self, name: str, counted: int) -> int:
        return self.seeds.get(name, self.seed + counted)

    def _recomputing(self) -> dict[str, str]:
        """Return how each reference is made again, for the report."""
        if not self.study:
            return {}
        return {
            f"recompute {name}": (
                "made elsewhere: ask who made it"
                if isinstance(item.model, Given)
                else f"seed {self.seed + k}, data {self.data.fingerprint[:16]}…: unlearn-audit run {STUDY} --stage "
                f"{item.name} --output AGAIN; or unlearn-audit verify REPORT --retrain {name}"
            )
            for k, item in enumerate(self.references, start=1)
            for name in [f"{REFERENCE}-{k}"]
        }

    def _seen(self, workspace: Workspace) -> dict[str, str]:
        """Return which candidates were there before the seal, for the report."""
        seen = [] if self.seal is None else workspace.results_of(self.seal)["seen"]
        return {"there before the seal was made": ", ".join(seen)} if seen else {}

    def _copies(self, workspace: Workspace) -> dict[str, str]:
        """Return how many examples that stay are copies of forgotten ones, for the report."""
        found = workspace.results_of(self.forget).get("copies") or {}
        said = ", ".join(f"{count} {NAMES[split]}" for split, count in sorted(found.items(), reverse=True))
        return {COPIES: said} if said else {}

    def _origins(self) -> dict[str, str]:
        """Return what was not made by this study's own training, for the report."""
        models = [self.original, *self.references, *(model for models in self.candidates.values() for model in models)]
        elsewhere = [item.model.name for item in models if isinstance(item.model, Given)]
        commands = [item.model.command.config.command for item in models if isinstance(item.model, RetrainedByCommand)]
        found = {MADE_ELSEWHERE: ", ".join(elsewhere)} if elsewhere else {}
        return found | ({"retrained by": commands[0]} if commands else {})


def _files(
    workspace: Workspace, models: Sequence[ModelPredictions], *, seed: int, method: str | None = None
) -> ModelFiles:
    """Return the predictions of J models of one method, and their mean cost."""
    costs = [workspace.results_of(model)["model"] for model in models]
    return ModelFiles(
        predictions=tuple(f"{model.folder_name}/{predictions.FILE}" for model in models),
        method=method,
        seed=seed,
        seconds=_mean([cost["seconds"] for cost in costs]),
        examples=None if (mean := _mean([cost["examples"] for cost in costs])) is None else round(mean),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
