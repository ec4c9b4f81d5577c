"""What this package writes to: folders that are new, empty or its own, and files that are new or its own.

A folder of ours holds a mark, which says what it is for. Any other folder that holds something belongs to somebody
else: nothing is written there, and nothing in it is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.files import write_text

MARK = ".unlearn-audit"
_SAYS = "unlearn-audit writes this folder: "
# What folders of a kind held before there were marks: a file, and a key in it.
_SIGNS = {"report": ("manifest.json", "request"), "study": ("stages/*/manifest.json", "needs")}
_SHOWN = 3  # of the names that are in the way


def claim_folder(folder: str | Path, kind: str) -> Path:
    """Make a folder for results where there is none, mark it as ours, and return it; call it before any computing.

    Args:
        folder: new, empty, or one of the same kind that an earlier run wrote.
        kind: what it is for: "model", "report", "study", "pools" or "slurm".

    Raises:
        ConfigurationError: where it holds anything else, with the names of what is in the way, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check(folder, kind)
        write_text(folder / MARK, f"{_SAYS}{kind}\n")
    except OSError as error:
        raise ConfigurationError(
            f"Expected a folder for a {kind}, which can be made and written, got {str(folder)!r}: {error}. "
            "Give another folder."
        ) from error
    return folder


def _check(folder: Path, kind: str) -> None:
    marked = _marked(folder)
    if marked == "" or marked == kind:  # a kill may leave an empty mark
        return
    if marked is not None:
        raise ConfigurationError(
            f"Expected a folder for a {kind}, but {str(folder)!r} is one for a {marked}. Give another folder."
        )
    others = sorted(path.name for path in folder.iterdir() if path.name != MARK)
    if others and not _bears_signs(folder, kind):
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        raise ConfigurationError(
            f"Expected a new or empty folder for a {kind}, or one that unlearn-audit wrote, but {str(folder)!r} holds "
            f"{', '.join(others[:_SHOWN])}{more}. Nothing was changed there. Give another folder."
        )


def _marked(folder: Path) -> str | None:
    """Return what a folder's mark says it is for; None without a mark."""
    try:
        text = (folder / MARK).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    return text.removeprefix(_SAYS).strip()


def _bears_signs(folder: Path, kind: str) -> bool:
    pattern, key = _SIGNS.get(kind, ("", ""))
    return bool(pattern) and any(_has_key(path, key) for path in folder.glob(pattern))


def _has_key(path: Path, key: str) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and key in content


def claim_file(path: str | Path, is_ours: Callable[[Path], bool]) -> Path:
    """Return the path of a file to write, whose folder then exists; call it before any computing.

    Args:
        path: of no file, or of one that `is_ours` takes for an earlier result of the same kind.
        is_ours: looks into the file that is there.

    Raises:
        ConfigurationError: where something else is there, or the folder cannot be made.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        in_the_way = path.is_dir() or (path.exists() and not is_ours(path))
    except OSError as error:
        raise ConfigurationError(f"Expected a file that can be written, got {str(path)!r}: {error}.") from error
    if in_the_way:
        what = "a folder" if path.is_dir() else "something that unlearn-audit did not write"
        raise ConfigurationError(
            f"Expected a new file, or one that an earlier run wrote, but {str(path)!r} is {what}. Nothing was changed "
            "there. Give another name."
        )
    return path


def says(path: Path, *words: str) -> bool:
    """Tell whether a text file's first 4 KiB hold one of these words, by which our files are known."""
    with path.open("rb") as file:
        start = file.read(4096)
    return any(word.encode() in start for word in words)
