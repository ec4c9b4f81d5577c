"""The predictions of one model on all examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from unlearn_audit.experiment.stages.base import INCIDENTAL, Stage, Workspace
from unlearn_audit.experiment.stages.examples import PlannedData
from unlearn_audit.models import load_model, predict
from unlearn_audit.predictions import Predictions

FILE = "predictions.parquet"


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelPredictions(Stage):
    """Logits and embeddings of training and test examples; hands on what the model cost."""

    kind: ClassVar[str] = "predictions"
    data: PlannedData
    model: Stage
    precision: str
    batch_size: int = field(metadata=INCIDENTAL)

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Predict, and write the predictions as Parquet."""
        found = predict(
            load_model(workspace.folder_of(self.model) / "model"),
            self.data.load(),
            batch_size=self.batch_size,
            precision=self.precision,
            model_id=self.model.name,
        )
        found.save(workspace.folder / FILE)
        return {"model": {name: item for name, item in workspace.results_of(self.model).items() if name != "log"}}

    def load(self, workspace: Workspace) -> Predictions:
        """Read the predictions."""
        return Predictions.load(workspace.folder_of(self) / FILE)
