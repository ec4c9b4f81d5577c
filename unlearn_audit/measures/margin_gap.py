"""Difference of the label's margin."""

from __future__ import annotations

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MEASURE"]


def _margin_gap(candidate: Outputs, reference: Outputs) -> Tensor:
    """Absolute difference of φ = log p(y) - log(1 - p(y)) (Carlini et al. 2022, arXiv 2112.03570)."""
    return (candidate.margin - reference.margin).abs()


MEASURE = Measure("margin_gap", "margin difference", "nats", 0, None, _margin_gap)
