"""Which files of predictions are read into memory, by the end of their name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlearn_audit.predictions.frames import read_json_lines
from unlearn_audit.predictions.names import Names
from unlearn_audit.predictions.tables import read_csv, read_npz

READERS: dict[str, Callable[[Path, Names], dict[str, Any]]] = {
    ".npz": read_npz,
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
