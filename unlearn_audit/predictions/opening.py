"""Opens a file of predictions, in whatever format it is."""

from __future__ import annotations

from pathlib import Path

from unlearn_audit.predictions.checks import PredictionSource
from unlearn_audit.predictions.parquet import PredictionsFile
from unlearn_audit.predictions.reading import READERS
from unlearn_audit.predictions.value import Predictions


def open_predictions(path: str | Path) -> PredictionSource:
    """Open a file of predictions: `.npz`, `.csv` and `.jsonl` are read into memory, all else is Parquet and streamed.

    Raises:
        PredictionsError: where it cannot be read, or holds no predictions.
    """
    return Predictions.load(path) if Path(path).suffix.lower() in READERS else PredictionsFile(path)
