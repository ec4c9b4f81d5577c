"""An unlearned model: the original after an unlearning method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from unlearn_audit.errors import ModelError
from unlearn_audit.experiment.config import MethodConfig
from unlearn_audit.experiment.stages.base import ADDED, INCIDENTAL, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.models import FAILED, ModelStage
from unlearn_audit.experiment.stages.train import ReportSteps, save_run
from unlearn_audit.experiment.stages.tuned import TunedMethod, prepared
from unlearn_audit.models import load_model
from unlearn_audit.training import TrainingRun, unlearn


@dataclass(frozen=True, eq=False, kw_only=True)
class Unlearned(ModelStage):
    """The original model after one method, with the training that a search found where there was one.

    Attributes:
        oracle: a retrained model that no audit uses, for a control that learns from one.
        spared: a model that diverges, or that the method left as it was, is a result, `failed` with the reason, and no
            error; there is no model then. So is a search that found nothing.
    """

    kind: ClassVar[str] = "unlearned"
    data: PlannedData
    forget: PlannedForgetSet
    method: MethodConfig
    seed: int
    original: ModelStage
    tuned: TunedMethod | None
    oracle: ModelStage | None = field(default=None, metadata=ADDED)
    spared: bool = field(default=False, metadata=INCIDENTAL)

    @property
    def about(self) -> str:
        """The method."""
        return self.method.method

    @property
    def epochs(self) -> float | None:
        """Of the method's training, unless a search finds them."""
        return None if self.tuned is not None else self.method.training.epochs

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Make the original forget, from the last checkpoint if there is one."""
        found = {} if self.tuned is None else workspace.results_of(self.tuned)
        if FAILED in found:
            return {FAILED: found[FAILED], "seconds": None, "examples": None}
        method = self.method if self.tuned is None else self.method.with_found(found)
        try:
            run = self._unlearn(method, workspace)
        except ModelError as error:
            if not self.spared:
                raise
            return {FAILED: str(error), "seconds": None, "examples": None}
        return {**save_run(run, workspace), "training": dataclasses.asdict(method.training)}

    def _unlearn(self, method: MethodConfig, workspace: Workspace) -> TrainingRun:
        data = self.data.load()
        return unlearn(
            load_model(self.original.made(workspace)),
            data.train,
            self.forget.choose(data.train),
            prepared(method, self.seed, workspace, self.oracle),
            method.training,
            output_dir=workspace.folder / "checkpoints",
            progress=False,
            callbacks=[ReportSteps(workspace), *workspace.store.tracking.callbacks(self.name)],
        )
