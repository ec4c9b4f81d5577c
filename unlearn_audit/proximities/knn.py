"""Mean cosine to the nearest forget examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn_audit.proximities._proximity import Proximity
from unlearn_audit.proximities._search import nearest
from unlearn_audit.registry import check_count

__all__ = ["Knn"]


@dataclass(frozen=True)
class Knn(Proximity):
    """Mean cosine, in [-1, 1], of each embedding to the k nearest forget examples; the search is exact.

    Attributes:
        k: how many; all of them where there are fewer. A forget example is not its own neighbour.
    """

    k: int = 10
    by_row: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("k", self.k)

    def __call__(
        self, embeddings: np.ndarray, forget_embeddings: np.ndarray, own: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the mean cosine (n,) of each embedding (n, d) to the nearest of the forget embeddings (f, d)."""
        others = len(forget_embeddings) - (own is not None)
        if others < 1:
            return np.ones(len(embeddings), dtype=np.float32)  # the one forget example has no other to be near to
        cosines, _ = nearest(embeddings, forget_embeddings, k=min(self.k, others), own=own)
        return cosines.mean(axis=1)

    def describe(self) -> str:
        """Return in words how near is measured."""
        return f"knn proximity of {self.k} neighbours"
