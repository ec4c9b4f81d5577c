"""The nearest few retain examples, and the rest."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.strata._edges import between, check_spread, shares
from unlearn_audit.strata._strata import Examples, Strata, Stratum

__all__ = ["Top"]


@dataclass(frozen=True)
class Top(Strata):
    """The nearest 0.5, 1, 5 and 10 % of the retain set, and the rest.

    Attributes:
        shares: of the retain set, cumulated from the nearest: rising, between 0 and 1.
    """

    shares: tuple[float, ...] = (0.005, 0.01, 0.05, 0.10)

    def __post_init__(self) -> None:
        numbers = isinstance(self.shares, tuple | list) and all(isinstance(s, int | float) for s in self.shares)
        bounds = [0, *self.shares, 1] if numbers else []
        if len(bounds) < 3 or any(low >= high for low, high in itertools.pairwise(bounds)):
            raise ConfigurationError(f"shares: expected rising numbers between 0 and 1, got {self.shares!r}.")

    def __call__(self, examples: Examples) -> tuple[np.ndarray, tuple[Stratum, ...]]:
        """Return the stratum of each example (n,) and the strata."""
        retained = examples.proximity[examples.is_retain]
        check_spread(retained)
        return between(examples.proximity, *shares(retained, np.array(self.shares)))
