"""A model as it is before training, by which an audit shows what its measures say of a useless model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from unlearn_audit.experiment.planned_models import PlannedModel
from unlearn_audit.experiment.stages.base import Workspace
from unlearn_audit.experiment.stages.examples import PlannedData
from unlearn_audit.experiment.stages.models import ModelStage
from unlearn_audit.experiment.stages.train import save_run
from unlearn_audit.training import TrainingRun


@dataclass(frozen=True, eq=False, kw_only=True)
class Untrained(ModelStage):
    """A model with the random weights of its seed."""

    kind: ClassVar[str] = "untrained"
    data: PlannedData
    model: PlannedModel
    seed: int

    @property
    def about(self) -> str:
        """The architecture, or the checkpoint that it starts from."""
        return self.model.shown

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Make the model."""
        model = self.model.create(self.data.load().train, self.seed)
        return save_run(TrainingRun(model, seconds=0.0, cpu_seconds=0.0, examples=0, steps=0), workspace)
