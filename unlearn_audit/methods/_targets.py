"""Soft targets: from a teacher's logits to the distribution that the student learns."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MODES = ("top", "soft", "hard", "threshold")


def soft_targets(
    logits: Tensor, mode: str, *, temperature: float = 1.0, top_m: int = 3, threshold: float = 0.02
) -> Tensor:
    """Map a teacher's logits (n, c) to target distributions (n, c).

    Args:
        logits: of the teacher.
        mode: `soft` keeps the softmax, `hard` its argmax as one-hot, `top` the `top_m` largest probabilities
            renormalised, `threshold` those of at least `threshold` renormalised (the largest always stays).
        temperature: divides the logits.
        top_m: how many classes `top` keeps.
        threshold: probability in [0, 1].
    """
    probabilities = (logits / temperature).softmax(dim=1)
    if mode == "soft":
        return probabilities
    if mode == "hard":
        return F.one_hot(probabilities.argmax(dim=1), probabilities.shape[1]).to(probabilities.dtype)
    if mode == "top":
        top = probabilities.topk(min(top_m, probabilities.shape[1]), dim=1)
        kept = torch.zeros_like(probabilities).scatter_(1, top.indices, top.values)
    else:
        largest = probabilities.amax(dim=1, keepdim=True)
        kept = torch.where((probabilities >= threshold) | (probabilities == largest), probabilities, 0.0)
    return kept / kept.sum(dim=1, keepdim=True)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -sum_c targets log softmax(logits), (n,), for logits (n, c) and target distributions (n, c)."""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1)
