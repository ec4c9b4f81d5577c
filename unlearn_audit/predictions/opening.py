"""Opens a file of predictions, in whatever format it is."""

from __future__ import annotations

from pathlib import Path

from unlearn_audit.predictions.checks import PredictionSource
from unlearn_audit.predictions.names import Names
from unlearn_audit.predictions.parquet import PredictionsFile
from unlearn_audit.predictions.reading import READERS
from unlearn_audit.predictions.value import Predictions


def open_predictions(path: str | Path, names: Names | None = None) -> PredictionSource:
    """Open a file of predictions: `.npz`, `.csv` and `.jsonl` are read into memory, all else is Parquet and streamed.

    Args:
        path: of the file.
        names: of its columns, splits and classes, where they are not ours.

    Raises:
        PredictionsError: where it cannot be read, or holds no predictions.
    """
    is_read = Path(path).suffix.lower() in READERS
    return Predictions.load(path, names) if is_read else PredictionsFile(path, names)
