"""Equal ranges of proximity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unlearn_audit.registry import check_count
from unlearn_audit.strata._edges import between, check_spread
from unlearn_audit.strata._strata import Examples, Strata, Stratum

__all__ = ["EqualWidth"]


@dataclass(frozen=True)
class EqualWidth(Strata):
    """Equal ranges of proximity, from the nearest retain example to the farthest.

    Attributes:
        number: of strata.
    """

    number: int = 10

    def __post_init__(self) -> None:
        check_count("number", self.number)

    def __call__(self, examples: Examples) -> tuple[np.ndarray, tuple[Stratum, ...]]:
        """Return the stratum of each example (n,) and the strata."""
        retained = examples.proximity[examples.is_retain]
        if self.number > 1:
            check_spread(retained)
        edges = np.linspace(retained.max(), retained.min(), self.number + 1)[1:-1]
        names = [f"{i + 1} of {self.number} equal widths" for i in range(self.number)]
        return between(examples.proximity, edges, names)

    def describe(self, count: int) -> str:
        """Return in words what the `count` strata are."""
        return f"{count} equal width"
