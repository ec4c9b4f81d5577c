"""Reads files that list example ids."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlearn_audit.errors import ForgetSetError

LARGEST = 1 << 30  # bytes
_COLUMNS = ("example_id", "id")


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
    if path.stat().st_size > LARGEST:
        raise ForgetSetError(f"{path}: expected a list of at most {LARGEST:,} bytes, got {path.stat().st_size:,}.")
    try:
        return readers[path.suffix.lower()](path)
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
    column = next((rows[0].index(name) for name in _COLUMNS if name in rows[0]), None)
    if column is not None:
        return [row[column] if column < len(row) else "" for row in rows[1:]]
    if len(rows[0]) > 1:
        raise ForgetSetError(_no_column(path, rows[0]))
    return [row[0] for row in rows]


def _from_json(path: Path) -> list[str] | dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ForgetSetError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, list | dict):
        raise ForgetSetError(f"{path} must hold a list of ids or a saved forget set, not {content!r:.40}.")
    return content


def _from_parquet(path: Path) -> list[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            name = next((name for name in _COLUMNS if name in names), names[0] if len(names) == 1 else None)
            if name is None:
                raise ForgetSetError(_no_column(path, names))
            return file.read(columns=[name]).column(0).to_pylist()
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise ForgetSetError(f"{path} is not Parquet: {error}.") from error


def _no_column(path: Path, names: list[str]) -> str:
    return f"{path} needs its ids in a column 'example_id' or 'id'; it has the columns {', '.join(names)}."
