"""What all stages share that make a model, or the predictions of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unlearn_audit.experiment.stages.base import Stage, Workspace

MODEL = "model"  # the folder of a model in its stage's
FAILED = "failed"  # in the results of a stage that came to no model, and may: why


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelStage(Stage):
    """A stage that makes one model. Its results say what the model cost: `seconds` and `examples`, None if unknown."""

    def made(self, workspace: Workspace) -> Path:
        """Return where it is: a model's folder, or a file of predictions."""
        return workspace.folder_of(self) / MODEL
