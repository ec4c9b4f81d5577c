"""A model that was made elsewhere, or its predictions: copied into the study, so that nothing can change it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from unlearn_audit.experiment.given import PlannedGiven
from unlearn_audit.experiment.stages.base import Workspace
from unlearn_audit.experiment.stages.examples import PlannedData
from unlearn_audit.experiment.stages.models import MODEL, ModelStage
from unlearn_audit.models import load_model, save_model, weights_hash, with_classes_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Given(ModelStage):
    """An original, a retrained or an unlearned model from elsewhere."""

    kind: ClassVar[str] = "given"
    data: PlannedData
    given: PlannedGiven

    @property
    def about(self) -> str:
        """That it is from elsewhere."""
        return "made elsewhere"

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Copy the file, or load the model and save it with its image processor, its classes in the data's order."""
        cost: dict[str, Any] = {
            "seconds": self.given.seconds,
            "cpu_seconds": None,
            "examples": None,
            "steps": None,
            "log": [],
        }
        if self.given.is_predictions:
            self.given.copy(self._file(workspace))
            return cost
        model = load_model(self.given.place, processor=self.given.processor)
        model = with_classes_of(model, self.data.load().train)
        save_model(model, workspace.folder / MODEL, unchanged=True)
        return {**cost, "weights_hash": weights_hash(model)}

    def made(self, workspace: Workspace) -> Path:
        """Return where it is: a model's folder, or a file of predictions."""
        return self._file(workspace) if self.given.is_predictions else super().made(workspace)

    def _file(self, workspace: Workspace) -> Path:
        return workspace.folder_of(self) / f"predictions{Path(self.given.place).suffix}"
