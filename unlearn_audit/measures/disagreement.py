"""Disagreement of the predicted classes."""

from __future__ import annotations

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MEASURE"]


def _disagreement(candidate: Outputs, reference: Outputs) -> Tensor:
    """1 where the two models predict different classes, else 0."""
    return (candidate.top1 != reference.top1).float()


MEASURE = Measure("disagreement", "top-1 disagreement", "share", 0, 1, _disagreement)
