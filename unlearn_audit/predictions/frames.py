"""Predictions in memory as people hold them, tables of pandas, polars, Arrow or `datasets`, and as JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.errors import PredictionsError
from unlearn_audit.files import regular
from unlearn_audit.predictions.checks import check_memory
from unlearn_audit.predictions.names import OUTPUTS, Names
from unlearn_audit.predictions.parquet import matrix
from unlearn_audit.predictions.tables import fields_of_arrays

_GROWTH = 4  # of a text file of numbers in memory, at most
_MATRICES = (*OUTPUTS, "embedding")


def is_table(value: Any) -> bool:
    """Whether it is a table with named columns: of pandas, polars, Arrow, or a `datasets.Dataset`."""
    return hasattr(value, "column_names") or (hasattr(value, "columns") and not hasattr(value, "logit_chunks"))


def fields_of_table(name: str, table: Any, names: Names) -> dict[str, Any]:
    """Return the fields of `Predictions` that a table holds; its columns are those of a Parquet file, or `names`.

    Raises:
        PredictionsError: where it is no table, or holds no predictions.
    """
    import pyarrow as pa

    try:
        arrow = _arrow(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise PredictionsError(f"{name}: expected a table of predictions, which can be read: {error}") from error
    arrays: dict[str, np.ndarray] = {}
    for column, stored in names.stored(arrow.column_names).items():
        values = arrow.column(stored).combine_chunks()
        if column in _MATRICES:
            arrays[column] = matrix(name, column, values)
        elif column in ("example_id", "label", "split"):
            if values.null_count:
                raise PredictionsError(f"{name}: expected no empty values in {column!r}, found some.")
            arrays[column] = values.to_numpy(zero_copy_only=False)
    return fields_of_arrays(name, arrays, names, arrow.column_names)


def read_json_lines(path: Path, names: Names) -> dict[str, Any]:
    """Return the fields of `Predictions` that a file of JSON lines holds, an example a line."""
    import pyarrow as pa
    from pyarrow import json

    try:
        check_memory(path.name, _GROWTH * regular(path).stat().st_size)
        table = json.read_json(path)
        table.column_names  # noqa: B018  # which are decoded here
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise PredictionsError(f"Expected a file of JSON lines, got {str(path)!r}: {error}") from error
    return fields_of_table(path.name, table, names)


def _arrow(table: Any) -> Any:
    import pyarrow as pa

    if isinstance(table, pa.Table):
        return table
    if hasattr(table, "with_format"):  # a Dataset of `datasets`
        return pa.table(table.with_format("arrow")[:])
    if hasattr(table, "to_arrow"):  # of polars
        return table.to_arrow()
    return pa.Table.from_pandas(table, preserve_index=False)
