"""Predictions in the other formats that people hold: NumPy archives and CSV, read into memory whole.

An `.npz` holds arrays by the names of the Parquet columns: `example_id` (n,), `label` (n,), `logits` or `probabilities`
(n, c), and optionally `split` (n,) and `embedding` (n, d). It must hold no pickled objects. A `.csv` has the columns
`example_id`, `label` and one column a class, `logit_0`, `logit_1`, … or `probability_0`, …, and optionally `split` and
`embedding_0`, ….
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.errors import PredictionsError
from unlearn_audit.files import regular
from unlearn_audit.predictions.checks import check_finite, check_memory, log_probabilities

MOST_CLASSES = 10_000_000
_CSV_GROWTH = 4  # bytes in memory for each of a file
_CSV_COLUMN = re.compile(r"(logit|probability|embedding)_(\d+)")
_CSV_ARRAYS = {"logit": "logits", "probability": "probabilities", "embedding": "embedding"}


def read_npz(path: Path) -> dict[str, Any]:
    """Return the fields of `Predictions` that an `.npz` holds; raises `PredictionsError`."""
    return fields_of_arrays(path.name, _npz_arrays(path))


def read_csv(path: Path) -> dict[str, Any]:
    """Return the fields of `Predictions` that a `.csv` holds; raises `PredictionsError`."""
    return fields_of_arrays(path.name, _csv_arrays(path))


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    expected = f"Expected a NumPy archive of predictions, written by `numpy.savez`, got {str(path)!r}"
    try:
        if zipfile.is_zipfile(regular(path)):
            with zipfile.ZipFile(path) as archive:
                check_memory(path.name, sum(each.file_size for each in archive.infolist()))
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            raise PredictionsError(f"{expected}: it holds a single array.")
        with content:
            return {name: _array(content, name) for name in content.files}
    except (OSError, EOFError, ValueError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise PredictionsError(f"{expected}: {error}") from error


def _array(content: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    try:
        return content[name]
    except MemoryError as error:  # its header says more than the archive holds
        raise ValueError(f"{name} is said to be larger than memory") from error


def _csv_arrays(path: Path) -> dict[str, np.ndarray]:
    import pyarrow as pa
    from pyarrow import csv

    types = {"example_id": pa.string(), "split": pa.string()}
    try:
        check_memory(path.name, _CSV_GROWTH * regular(path).stat().st_size)
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types))
    except (OSError, pa.ArrowException) as error:
        raise PredictionsError(f"Expected a CSV file of predictions, got {str(path)!r}: {str(error)[:500]}") from error
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise PredictionsError(f"{path.name}: expected each column once, got {twice[0]!r} more often.")
    empty = [name for name in table.column_names if table.column(name).null_count]
    if empty:
        raise PredictionsError(f"{path.name}: expected no empty values in {empty[0]!r}, found some.")
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    arrays = {name: column for name, column in columns.items() if not _CSV_COLUMN.fullmatch(name)}
    return arrays | _stacked(path.name, columns)


def _stacked(name: str, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays (n, m) whose m columns are numbered from 0."""
    found: dict[str, dict[int, np.ndarray]] = {}
    for column, values in columns.items():
        match = _CSV_COLUMN.fullmatch(column)
        if match:
            place = int(match.group(2))
            if match.group(2) != str(place):
                raise PredictionsError(f"{name}: expected the column {match.group(1)}_{place}, got {column!r}.")
            found.setdefault(match.group(1), {})[place] = values
    for kind, parts in found.items():
        missing = [index for index in range(len(parts)) if index not in parts]
        if missing:
            raise PredictionsError(
                f"{name}: expected the columns {kind}_0 to {kind}_{len(parts) - 1}, found no {kind}_{missing[0]}."
            )
    return {
        _CSV_ARRAYS[kind]: np.column_stack([parts[index] for index in range(len(parts))])
        for kind, parts in found.items()
    }


def fields_of_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the fields of `Predictions` that arrays by the names of the Parquet columns hold; `PredictionsError`."""
    for column in ("example_id", "label"):
        if column not in arrays:
            raise PredictionsError(f"{name}: expected {column!r}, found {sorted(arrays)}.")
    kinds = {"example_id": "iuUOT", "label": "iu", "split": "UOT"}
    for column in [column for column in kinds if column in arrays]:
        found = arrays[column]
        if found.ndim != 1 or found.dtype.kind not in kinds[column]:
            what = "whole numbers" if column == "label" else "text"
            raise PredictionsError(f"{name}: expected {what} in {column!r} (n,), got {found.dtype} {found.shape}.")
    if arrays["label"].max(initial=0) > MOST_CLASSES:
        raise PredictionsError(f"{name}: expected labels up to {MOST_CLASSES:,}, got {arrays['label'].max()}.")
    ids = arrays["example_id"].astype(str)
    labels = arrays["label"]
    return {
        "example_ids": ids,
        "splits": arrays["split"].astype(str) if "split" in arrays else np.full(len(ids), "train"),
        "labels": labels.astype(np.int64),
        "logits": _logits(name, arrays, ids),
        "embeddings": _numbers(name, "embedding", arrays["embedding"]) if "embedding" in arrays else None,
        "name": name,
    }


def _logits(name: str, arrays: Mapping[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    for column in ("logits", "log_probabilities"):  # a softmax takes both for the same
        if column in arrays:
            return _numbers(name, column, arrays[column])
    if "probabilities" not in arrays:
        raise PredictionsError(
            f"{name}: expected logits or probabilities (in a CSV file: logit_0, … or probability_0, …), found "
            f"{sorted(arrays)}."
        )
    probabilities = _numbers(name, "probabilities", arrays["probabilities"])
    check_finite(name, "probabilities", probabilities, ids)
    return log_probabilities(name, probabilities, ids)


def _numbers(name: str, column: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise PredictionsError(
            f"{name}: expected a table of numbers (n, m) for {column!r}, got {values.dtype} of shape {values.shape}."
        )
    return values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
