"""Difference of the label's margin."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MarginGap"]


@dataclass(frozen=True)
class MarginGap(Measure):
    """Difference of the label's margin."""

    title = "margin difference"
    unit = "nats"
    low = 0
    high = None

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """Absolute difference of φ = log p(y) - log(1 - p(y)) (Carlini et al. 2022, arXiv 2112.03570)."""
        return (candidate.margin - reference.margin).abs()
