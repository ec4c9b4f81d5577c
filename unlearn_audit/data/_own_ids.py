"""Ids that the examples bring themselves, which stay theirs when others are deleted or added."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np

from unlearn_audit.errors import DataError, did_you_mean

CONTENT = "content"
_DIGITS = 16  # of the hash


def own_ids(kind: str, split: str, columns: Mapping[str, np.ndarray], pixels: np.ndarray, *, name: str) -> np.ndarray:
    """Return the ids (n,) of one split's examples.

    Args:
        kind: "content" for a hash of the pixels, or the name of a column, "file_name" among them.
        split: of the examples; it stands before a hash, as the same image may be in both splits.
        columns: of the data, each (n,).
        pixels: (n, h, w, 3).
        name: of the data, for errors.

    Raises:
        DataError: where there is no such column, or examples share an id.
    """
    if kind == CONTENT:
        digests = [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()[:_DIGITS] for image in pixels]
        return np.array([f"{split}-{digest}" for digest in _numbered(digests)], dtype=np.str_)
    if kind not in columns:
        raise DataError(f"{name} has no column {kind!r} for ids.{did_you_mean(kind, [*columns, CONTENT])}")
    found = columns[kind].astype(np.str_)
    repeated = [value for value, count in Counter(found.tolist()).items() if count > 1]
    if repeated or not all(found.tolist()):
        what = f"{repeated[0]!r} {found.tolist().count(repeated[0])} times" if repeated else "an empty one"
        raise DataError(f"Expected an id of its own for each example of {name} in {kind!r}, got {what}.")
    return found


def _numbered(digests: list[str]) -> list[str]:
    """Tell copies apart: the second image of the same content gets "-2"."""
    seen: Counter[str] = Counter()
    numbered = []
    for digest in digests:
        seen[digest] += 1
        numbered.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return numbered
