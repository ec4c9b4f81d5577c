"""What a proximity is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn_audit.proximities import registry
from unlearn_audit.registry import Plugin


@dataclass(frozen=True)
class Proximity(Plugin, ABC):
    """How near each example lies to the forget set, in an embedding space; larger is nearer.

    A proximity is a frozen dataclass: its fields are its options, each with a default. An option called `k` is taken
    from `neighbourhood.k`, unless the proximity's name states it.

    Attributes:
        by_row: whether an example's proximity depends on its own embedding and those of the forget set alone. It is
            then called with a block of examples at a time, so that they need not fit into memory.
    """

    registry = registry
    by_row: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self, embeddings: np.ndarray, forget_embeddings: np.ndarray, own: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the proximity (n,) of each example, finite.

        Args:
            embeddings: (n, d).
            forget_embeddings: (f, d).
            own: (n,) for a row that is a forget example its index among them, else -1; None where no row is one.
        """

    def describe(self) -> str:
        """Return in words how near is measured, for a report: "centroid proximity"."""
        return f"{self.name} proximity"
