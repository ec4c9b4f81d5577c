"""Cosine to the centre of the forget set."""

from __future__ import annotations

import numpy as np

from unlearn_audit.proximities._search import unit_rows

__all__ = ["centroid"]


def centroid(
    embeddings: np.ndarray, forget_embeddings: np.ndarray, *, own: np.ndarray | None = None, k: int = 10
) -> np.ndarray:
    """Return the cosine (n,), in [-1, 1], of each embedding to the mean forget embedding (arXiv 2605.31317).

    Args:
        embeddings: (n, d).
        forget_embeddings: (f, d); their mean is taken before it is normalised.
        own: not used by this proximity.
        k: not used by this proximity.
    """
    centre = np.asarray(forget_embeddings, dtype=np.float64).mean(axis=0, keepdims=True)
    return (unit_rows(embeddings) @ unit_rows(centre)[0]).numpy()
