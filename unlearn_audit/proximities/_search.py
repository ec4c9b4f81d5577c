"""Exact search for the nearest forget examples by cosine, a block of rows at a time, on whatever device torch has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

BLOCK_NUMBERS = 1 << 23  # cosines held at once


def unit_rows(embeddings: np.ndarray) -> Tensor:
    """Return embeddings (n, d) as float32 with rows of length 1; a row of zeros stays zero."""
    return torch.nn.functional.normalize(torch.tensor(np.asarray(embeddings, dtype=np.float32)), dim=1)


def nearest(
    embeddings: np.ndarray, forget_embeddings: np.ndarray, *, k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines (n, k) to the k nearest forget examples, nearest first, and which those are (n, k).

    Args:
        embeddings: (n, d).
        forget_embeddings: (f, d).
        k: at most f; one less where `own` is given, as a forget example is not its own neighbour.
        own: (n,) for a row that is a forget example its index among them, else -1.
    """
    forget = unit_rows(forget_embeddings).T.contiguous()  # (d, f)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    forget = forget.to(device)
    cosines, indices = [], []
    for rows, block in _blocks(embeddings, forget.shape[1]):
        found = block.to(device) @ forget
        if own is not None:
            mine = torch.as_tensor(own[rows], device=device)
            here = mine >= 0
            found[torch.nonzero(here).squeeze(1), mine[here]] = -torch.inf
        top = found.topk(k, dim=1)
        cosines.append(top.values.cpu().numpy())
        indices.append(top.indices.cpu().numpy())
    return np.concatenate(cosines), np.concatenate(indices)


def _blocks(embeddings: np.ndarray, width: int) -> Iterator[tuple[slice, Tensor]]:
    size = max(1, BLOCK_NUMBERS // max(1, width))
    for start in range(0, len(embeddings), size):
        rows = slice(start, start + size)
        yield rows, unit_rows(embeddings[rows])
