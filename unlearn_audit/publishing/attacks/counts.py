"""How many of each class were forgotten, where that is all of a class or nearly so: whoever was in it was forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unlearn_audit.publishing.attacks._exposure import Exposure, Target

__all__ = ["counts"]

NEARLY_ALL = 0.9


def counts(target: Target) -> Iterator[Exposure]:
    """Name every example of the class that lost the largest share."""
    if target.report is None:
        return
    size, forgotten = target.by_class
    share = float((forgotten / np.maximum(size, 1)).max())
    lot = float(target.is_forget.mean())
    yield Exposure("counts", "The number of each class", share, lot, share >= NEARLY_ALL, "figures")
