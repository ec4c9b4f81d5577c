"""Decoded pixels on disk: one npy file for each key, written once, memory-mapped ever after."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from unlearn_audit.errors import DataError


def default_cache_dir() -> Path:
    """Return `$UNLEARN_AUDIT_CACHE`, else `unlearn_audit` beside the other caches in `$HF_HOME`."""
    from huggingface_hub.constants import HF_HOME

    return Path(os.environ.get("UNLEARN_AUDIT_CACHE") or Path(HF_HOME) / "unlearn_audit")


def cached_pixels(
    folder: Path, key: str, *, count: int, blocks: Callable[[], Iterator[np.ndarray]]
) -> tuple[np.ndarray, str]:
    """Return memory-mapped pixels (count, h, w, 3) uint8 and their hexadecimal SHA-256.

    On the first use of `key`, `blocks()` gives the pixels as consecutive arrays (b, h, w, 3). Of several
    processes one writes and the others wait for it. What a killed process left is written anew.
    """
    entry = folder / key
    if not entry.is_dir():
        try:
            _fill(entry, count, blocks)
        except OSError as error:
            raise DataError(
                f"The decoded images cannot be written to {folder}: {error}. "
                "Pass another cache_dir, or set UNLEARN_AUDIT_CACHE."
            ) from error
    pixels = np.load(entry / "pixels.npy", mmap_mode="r", allow_pickle=False)
    return pixels, (entry / "pixels.sha256").read_text()


def _fill(entry: Path, count: int, blocks: Callable[[], Iterator[np.ndarray]]) -> None:
    from filelock import FileLock

    entry.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{entry}.lock"):
        if entry.is_dir():
            return
        partial = entry.with_name(f"{entry.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        digest = _write(partial / "pixels.npy", count, blocks())
        (partial / "pixels.sha256").write_text(digest)
        partial.rename(entry)


def _write(path: Path, count: int, blocks: Iterator[np.ndarray]) -> str:
    """Write block after block and return the pixels' SHA-256; a full disk raises, unlike a memory map."""
    digest, first = hashlib.sha256(), None
    with path.open("wb") as file:
        for block in blocks:
            if first is None:
                first = {"descr": "|u1", "fortran_order": False, "shape": (count, *block.shape[1:])}
                np.lib.format.write_array_header_1_0(file, first)
            digest.update(np.ascontiguousarray(block).data)
            file.write(np.ascontiguousarray(block).data)
    return digest.hexdigest()
