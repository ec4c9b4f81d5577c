"""Kullback-Leibler divergence of the candidate from the reference."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["KullbackLeibler"]


@dataclass(frozen=True)
class KullbackLeibler(Measure):
    """Kullback-Leibler divergence of the candidate from the reference."""

    title = "KL(reference ‖ candidate)"
    unit = "nats"
    low = 0
    high = None
    symmetric = False

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """KL(reference ‖ candidate), from log-softmax."""
        log_ratio = reference.log_probabilities - candidate.log_probabilities
        return log_ratio.mul_(reference.probabilities).sum(dim=1).clamp_min(0)
