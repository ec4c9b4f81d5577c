"""The journal of a search, which a kill or a person may have damaged."""

from __future__ import annotations

import itertools
import json
import os
import warnings
from pathlib import Path

from unlearn_audit.files import regular, set_aside


def mended(journal: Path) -> Path:
    """Return the path of a search's journal, cut before the first line that is no entry; the damaged one is set aside.

    A kill can leave half a line, after which Optuna would write on.
    """
    if not os.path.lexists(journal):
        return journal
    lines = regular(journal).read_bytes().splitlines(keepends=True) if journal.is_file() else []
    whole = list(itertools.takewhile(_is_entry, lines))
    if len(whole) < len(lines) or not journal.is_file():
        kept = set_aside(journal)
        warnings.warn(
            f"{journal}: line {len(whole) + 1} is damaged, so the search goes on from the line before. It is kept as "
            f"{kept.name}.",
            stacklevel=3,
        )
        journal.write_bytes(b"".join(whole))
    return journal


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and {"op_code", "worker_id"} <= entry.keys() and line.endswith(b"\n")
