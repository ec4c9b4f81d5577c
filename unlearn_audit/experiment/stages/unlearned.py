"""An unlearned model: the original after an unlearning method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from unlearn_audit.experiment.config import MethodConfig
from unlearn_audit.experiment.stages.base import Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.models import ModelStage
from unlearn_audit.experiment.stages.train import ReportSteps, save_run
from unlearn_audit.experiment.stages.tuned import TunedMethod, resumable
from unlearn_audit.models import load_model
from unlearn_audit.training import unlearn


@dataclass(frozen=True, eq=False, kw_only=True)
class Unlearned(ModelStage):
    """The original model after one method, with the training that a search found where there was one."""

    kind: ClassVar[str] = "unlearned"
    data: PlannedData
    forget: PlannedForgetSet
    method: MethodConfig
    seed: int
    original: ModelStage
    tuned: TunedMethod | None

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
        data = self.data.load()
        method = self.method
        if self.tuned is not None:
            method = method.with_found(workspace.results_of(self.tuned))
        run = unlearn(
            load_model(self.original.made(workspace)),
            data.train,
            self.forget.choose(data.train),
            resumable(method, self.seed, workspace),
            method.training,
            output_dir=workspace.folder / "checkpoints",
            progress=False,
            callbacks=[ReportSteps(workspace), *workspace.store.tracking.callbacks(self.name)],
        )
        return {**save_run(run, workspace), "training": dataclasses.asdict(method.training)}
