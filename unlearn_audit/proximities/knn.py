"""Mean cosine to the nearest forget examples."""

from __future__ import annotations

import numpy as np

from unlearn_audit.proximities._search import nearest

__all__ = ["knn"]


def knn(
    embeddings: np.ndarray, forget_embeddings: np.ndarray, *, own: np.ndarray | None = None, k: int = 10
) -> np.ndarray:
    """Return the mean cosine (n,), in [-1, 1], to the k nearest forget examples; the search is exact.

    Args:
        embeddings: (n, d).
        forget_embeddings: (f, d).
        own: (n,) for a row that is a forget example its index among them, else -1: it is not its own neighbour.
        k: how many; at most f (f - 1 where `own` is given).
    """
    others = len(forget_embeddings) - (own is not None)
    if others < 1:
        return np.ones(len(embeddings), dtype=np.float32)  # the one forget example has no other to be near to
    cosines, _ = nearest(embeddings, forget_embeddings, k=min(k, others), own=own)
    return cosines.mean(axis=1)
