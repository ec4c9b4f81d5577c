"""Equal counts of retain examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unlearn_audit.registry import check_count
from unlearn_audit.strata._edges import between, check_spread, shares
from unlearn_audit.strata._strata import Examples, Strata, Stratum

__all__ = ["Quantiles"]


@dataclass(frozen=True)
class Quantiles(Strata):
    """Equal counts of retain examples.

    Attributes:
        number: of strata; there are fewer where proximities tie.
    """

    number: int = 10

    def __post_init__(self) -> None:
        check_count("number", self.number)

    def __call__(self, examples: Examples) -> tuple[np.ndarray, tuple[Stratum, ...]]:
        """Return the stratum of each example (n,) and the strata."""
        retained = examples.proximity[examples.is_retain]
        if self.number > 1:
            check_spread(retained)
        return between(examples.proximity, *shares(retained, np.arange(1, self.number) / self.number))

    def describe(self, count: int) -> str:
        """Return in words what the `count` strata are."""
        return f"{count} quantiles"
