"""Opens a file of predictions, in whatever format it is."""

from __future__ import annotations

from pathlib import Path, PurePath

from unlearn_audit.predictions.checks import PredictionSource
from unlearn_audit.predictions.names import Names
from unlearn_audit.predictions.parquet import PredictionsFile
from unlearn_audit.predictions.reading import READERS
from unlearn_audit.predictions.value import Predictions
from unlearn_audit.remote.sources import is_remote_file


def open_predictions(path: str | Path, names: Names | None = None) -> PredictionSource:
    """Open a file of predictions: `.npz`, `.csv` and `.jsonl` are read into memory, all else is Parquet and streamed.

    Args:
        path: of the file, or where it lies elsewhere: `hf://…` or `s3://…`. There Parquet is read by ranges.
        names: of its columns, splits and classes, where they are not ours.

    Raises:
        PredictionsError: where it cannot be read, or holds no predictions.
        HubError: where it is not on the Hub, may not be read, or the Hub cannot be reached.
        StoreError: the same of an S3-compatible store.
    """
    return Predictions.load(path, names) if _is_read_whole(path) else PredictionsFile(path, names)


def stays_elsewhere(place: str) -> bool:
    """Tell whether a file of predictions is read by ranges where it lies, and not fetched."""
    return is_remote_file(place) and not _is_read_whole(place)


def _is_read_whole(path: str | Path) -> bool:
    return PurePath(path).suffix.lower() in READERS
