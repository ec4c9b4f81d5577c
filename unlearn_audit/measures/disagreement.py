"""Disagreement of the predicted classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["Disagreement"]


@dataclass(frozen=True)
class Disagreement(Measure):
    """Disagreement of the predicted classes."""

    title = "top-1 disagreement"
    unit = "share"
    low = 0
    high = 1

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """1 where the two models predict different classes, else 0."""
        return (candidate.top1 != reference.top1).float()
