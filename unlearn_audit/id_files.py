"""Reads files that list example ids."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.bounded import check_fits, open_parquet, read_bounded
from unlearn_audit.errors import ForgetSetError, did_you_mean
from unlearn_audit.files import regular

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1 << 30  # bytes
_GROWTH = 24  # bytes in memory for each of a file: an empty list in JSON takes 3 and becomes an object
_COLUMNS = ("example_id", "id", "file_name", "filename", "file", "path", "file_path", "image", "image_id")


def read_ids(path: Path) -> list[str] | dict[str, Any]:
    """Return the ids listed in a txt, csv, json or parquet file, or the dictionary that a json file holds."""
    readers: dict[str, Callable[[Path], list[str] | dict[str, Any]]] = {
        ".txt": _from_txt,
        ".csv": _from_csv,
        ".json": _from_json,
        ".parquet": _from_parquet,
    }
    if path.suffix.lower() not in readers:
        raise ForgetSetError(
            f"{path}: ids are read from {', '.join(readers)}, not from {path.suffix or 'no suffix'!r}."
        )
    if not path.is_file():
        raise ForgetSetError(f"There is no file {path}; give a file that lists the ids to forget.")
    try:
        size = regular(path, LARGEST).stat().st_size
        check_fits(0 if path.suffix.lower() == ".parquet" else _GROWTH * size)
        return readers[path.suffix.lower()](path)
    except OSError as error:
        raise ForgetSetError(f"{path}: {error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ForgetSetError(f"{path} is not readable as UTF-8 text: {error}.") from error


def _from_txt(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _from_csv(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    if not rows:
        return []
    header = [cell.lower() for cell in rows[0]]
    column = next((header.index(name) for name in _COLUMNS if name in header), None)
    if column is not None:
        return [row[column] if column < len(row) else "" for row in rows[1:]]
    if len(rows[0]) > 1:
        raise ForgetSetError(_no_column(path, rows[0]))
    return [row[0] for row in rows]


def read_column(path: Path, column: str) -> list[str]:
    """Return the values of one column of a csv, json (a list of objects) or parquet file, as text.

    Raises:
        ForgetSetError: where there is no such file or column, or a value is missing.
    """
    import pandas as pd
    import pyarrow

    def from_parquet(path: Path) -> pd.DataFrame:
        with open_parquet(path) as file:
            _check_known(path, column, file.schema_arrow.names)
            return read_bounded(file, [column]).to_pandas()

    readers = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": from_parquet}
    if path.suffix.lower() not in readers or not path.is_file():
        raise ForgetSetError(f"Expected a csv, json or parquet file with the column {column!r}, got {str(path)!r}.")
    options = {"dtype": str} if path.suffix.lower() == ".csv" else {}
    try:
        if path.suffix.lower() != ".parquet":
            check_fits(_GROWTH * regular(path, LARGEST).stat().st_size)
        table = readers[path.suffix.lower()](path, **options)
    except ForgetSetError:
        raise
    except (OSError, ValueError, RecursionError, pyarrow.ArrowException) as error:
        raise ForgetSetError(f"{path} cannot be read as a table: {error}") from error
    _check_known(path, column, table.columns)
    if table[column].isna().any():
        raise ForgetSetError(f"{path}: the column {column!r} is empty in row {int(table[column].isna().argmax())}.")
    return [str(value) for value in table[column]]


def _check_known(path: Path, column: str, known: Iterable[Any]) -> None:
    names = list(map(str, known))
    if column not in names:
        raise ForgetSetError(f"{path} has no column {column!r}.{did_you_mean(column, names)}")


def _from_json(path: Path) -> list[str] | dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ForgetSetError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, list | dict):
        raise ForgetSetError(f"{path} must hold a list of ids or a saved forget set, not {content!r:.40}.")
    return content


def _from_parquet(path: Path) -> list[str]:
    import pyarrow

    try:
        with open_parquet(path) as file:
            names = file.schema_arrow.names
            name = next((name for name in _COLUMNS if name in names), names[0] if len(names) == 1 else None)
            if name is None:
                raise ForgetSetError(_no_column(path, names))
            found = read_bounded(file, [name]).column(0)
            check_fits(_GROWTH * found.nbytes)
            return found.to_pylist()
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise ForgetSetError(f"{path} is not Parquet: {error}.") from error


def _no_column(path: Path, names: list[str]) -> str:
    return f"{path} needs its ids in a column {', '.join(_COLUMNS)}; it has the columns {', '.join(names)}."
