"""Kullback-Leibler divergence of the candidate from the reference."""

from __future__ import annotations

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MEASURE"]


def _kl(candidate: Outputs, reference: Outputs) -> Tensor:
    """KL(reference ‖ candidate), from log-softmax."""
    log_ratio = reference.log_probabilities - candidate.log_probabilities
    return (reference.probabilities * log_ratio).sum(dim=1).clamp_min(0)


MEASURE = Measure("kl", "KL(reference ‖ candidate)", "nats", 0, None, _kl, symmetric=False)
