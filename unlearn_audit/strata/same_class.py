"""Classes that lost examples, and all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn_audit.strata._strata import Examples, Strata, Stratum

__all__ = ["SameClass"]


@dataclass(frozen=True)
class SameClass(Strata):
    """Examples of a class that lost examples, and those of all others."""

    needs_proximity: ClassVar[bool] = False

    def __call__(self, examples: Examples) -> tuple[np.ndarray, tuple[Stratum, ...]]:
        """Return the stratum of each example (n,) and the strata."""
        lost = np.unique(examples.labels[examples.is_forget])
        strata = (Stratum(0, "classes that lost examples"), Stratum(1, "all other classes"))
        return np.where(np.isin(examples.labels, lost), 0, 1), strata
