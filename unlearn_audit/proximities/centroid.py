"""Cosine to the centre of the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn_audit.proximities._proximity import Proximity
from unlearn_audit.proximities._search import unit_rows

__all__ = ["Centroid"]


@dataclass(frozen=True)
class Centroid(Proximity):
    """Cosine, in [-1, 1], of each embedding to the mean forget embedding (arXiv 2605.31317).

    The mean is taken before it is normalised.
    """

    by_row: ClassVar[bool] = True

    def __call__(
        self, embeddings: np.ndarray, forget_embeddings: np.ndarray, own: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the cosine (n,) of each embedding (n, d) to the mean of the forget embeddings (f, d)."""
        centre = np.asarray(forget_embeddings, dtype=np.float64).mean(axis=0, keepdims=True)
        return (unit_rows(embeddings) @ unit_rows(centre)[0]).numpy()
