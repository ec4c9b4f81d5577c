"""The predictions of one model on all examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from unlearn_audit.data import ImageData
from unlearn_audit.experiment.foreign import on_the_data
from unlearn_audit.experiment.stages.base import ADDED, INCIDENTAL, Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData
from unlearn_audit.experiment.stages.models import FAILED, ModelStage
from unlearn_audit.models import load_model, predict
from unlearn_audit.models.checkpoints import has_processor
from unlearn_audit.predictions import Predictions
from unlearn_audit.predictions.names import Names

FILE = "predictions.parquet"


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelPredictions(Stage):
    """Logits and embeddings of training and test examples; hands on what the model cost."""

    kind: ClassVar[str] = "predictions"
    data: PlannedData
    model: ModelStage
    precision: str
    batch_size: int | None = field(metadata=INCIDENTAL)
    fallback: ModelStage | None = field(default=None, metadata=ADDED)  # has the image processor, if the model has none
    names: Names | None = field(default=None, metadata=ADDED)  # in predictions that were made elsewhere

    @property
    def about(self) -> str:
        """What its model is about."""
        return self.model.about

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Predict, or read predictions that were made elsewhere, and write them as Parquet; none of no model."""
        about = {name: item for name, item in workspace.results_of(self.model).items() if name != "log"}
        if FAILED in about:
            return {"model": about}
        made, data = self.model.made(workspace), self.data.load()
        found = self._read(made, data) if made.is_file() else self._predicted(made, data, workspace)
        found.save(workspace.folder / FILE)
        return {"model": about}

    def _read(self, file: Path, data: ImageData) -> Predictions:
        classes = self.names.classes if self.names else ()
        return on_the_data(Predictions.load(file, self.names), data, classes=classes)

    def _predicted(self, folder: Path, data: ImageData, workspace: Workspace) -> Predictions:
        elsewhere = None if has_processor(folder) or self.fallback is None else self.fallback.made(workspace)
        return predict(
            load_model(folder, processor=elsewhere),
            data,
            batch_size=self.batch_size,
            precision=self.precision,
            model_id=self.model.name,
        )

    def failed(self, workspace: Workspace) -> bool:
        """Return whether there is no model, and so no predictions."""
        return FAILED in workspace.results_of(self)["model"]

    def load(self, workspace: Workspace) -> Predictions:
        """Read the predictions."""
        return Predictions.load(workspace.folder_of(self) / FILE)
