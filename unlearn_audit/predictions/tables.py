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
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.errors import PredictionsError
from unlearn_audit.files import regular
from unlearn_audit.predictions.checks import as_logits, check_memory, gap_in_words
from unlearn_audit.predictions.names import OUTPUTS, Names, missing_column

MOST_CLASSES = 10_000_000
_CSV_GROWTH = 4  # bytes in memory for each of a file
_NUMBERED = re.compile(r"(.+)_(\d+)")
_BEFORE_NUMBERS = {  # of the columns of a CSV file, by the name of the array that they make
    "logits": "logit",
    "log_probabilities": "log_probability",
    "probabilities": "probability",
    "embedding": "embedding",
}


def read_npz(path: Path, names: Names) -> dict[str, Any]:
    """Return the fields of `Predictions` that an `.npz` holds; raises `PredictionsError`."""
    arrays = _npz_arrays(path)
    return fields_of_arrays(path.name, names.renamed(arrays), names, arrays)


def read_csv(path: Path, names: Names) -> dict[str, Any]:
    """Return the fields of `Predictions` that a `.csv` holds; raises `PredictionsError`."""
    columns = _csv_columns(path)
    arrays = names.renamed(columns) | _stacked(path.name, columns, names)
    return fields_of_arrays(path.name, arrays, names, columns)


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


def _csv_columns(path: Path) -> dict[str, np.ndarray]:
    import pyarrow as pa
    from pyarrow import csv

    types = {"example_id": pa.string(), "split": pa.string()}
    try:
        check_memory(path.name, _CSV_GROWTH * regular(path).stat().st_size)
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types))
        names = table.column_names
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise PredictionsError(f"Expected a CSV file of predictions, got {str(path)!r}: {str(error)[:500]}") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PredictionsError(f"{path.name}: expected each column once, got {twice[0]!r} more often.")
    empty = [name for name in names if table.column(name).null_count]
    if empty:
        raise PredictionsError(f"{path.name}: expected no empty values in {empty[0]!r}, found some.")
    return {name: table.column(name).to_numpy() for name in names}


def _stacked(name: str, columns: Mapping[str, np.ndarray], names: Names) -> dict[str, np.ndarray]:
    """Return the arrays (n, m) whose m columns are numbered from 0."""
    arrays = {before: array for array, before in _BEFORE_NUMBERS.items()}
    arrays |= {names.columns[array]: array for array in _BEFORE_NUMBERS if array in names.columns}
    found: dict[str, dict[int, np.ndarray]] = {}
    for column, values in columns.items():
        match = _NUMBERED.fullmatch(column)
        if match and match.group(1) in arrays:
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
        arrays[kind]: np.column_stack([parts[index] for index in range(len(parts))]) for kind, parts in found.items()
    }


def fields_of_arrays(
    name: str, arrays: Mapping[str, np.ndarray], names: Names, found: Collection[str]
) -> dict[str, Any]:
    """Return the fields of `Predictions` that arrays hold.

    Args:
        name: of the file or table, for errors.
        arrays: by our names.
        names: of splits and classes, where they are not ours.
        found: what the columns are called there, for errors.

    Raises:
        PredictionsError: where they hold no predictions.
    """
    for column in ("example_id", "label"):
        if column not in arrays:
            raise PredictionsError(missing_column(name, f"`{column}`", found))
    kinds = {"example_id": "iuUOT", "label": "iuUOT", "split": "UOT"}
    for column in [column for column in kinds if column in arrays]:
        values = arrays[column]
        if values.ndim != 1 or values.dtype.kind not in kinds[column]:
            what = "whole numbers" if column == "label" else "text"
            raise PredictionsError(f"{name}: expected {what} in {column!r} (n,), got {values.dtype} {values.shape}.")
    if not arrays["label"].size:
        raise PredictionsError(f"{name}: expected at least one example, found none.")
    labels = names.label_of(name, arrays["label"])
    if labels.max(initial=0) > MOST_CLASSES:
        raise PredictionsError(f"{name}: expected labels up to {MOST_CLASSES:,}, got {labels.max()}.")
    ids = arrays["example_id"].astype(str)
    logits, gap = _logits(name, arrays, ids, found)
    return {
        "example_ids": ids,
        "splits": names.split_of(arrays["split"]) if "split" in arrays else np.full(len(ids), "train"),
        "labels": labels.astype(np.int64),
        "logits": logits,
        "embeddings": _numbers(name, "embedding", arrays["embedding"]) if "embedding" in arrays else None,
        "name": name,
        "metadata": gap_in_words(gap),
    }


def _logits(
    name: str, arrays: Mapping[str, np.ndarray], ids: np.ndarray, found: Collection[str]
) -> tuple[np.ndarray, float]:
    for column in OUTPUTS:
        if column in arrays:
            return as_logits(name, column, _numbers(name, column, arrays[column]), ids)
    wanted = "`logits` or `probabilities` (in a CSV file logit_0, … or probability_0, …)"
    raise PredictionsError(missing_column(name, wanted, found))


def _numbers(name: str, column: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise PredictionsError(
            f"{name}: expected a table of numbers (n, m) for {column!r}, got {values.dtype} of shape {values.shape}."
        )
    return values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
