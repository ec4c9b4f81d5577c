"""Loss of confidence in the label."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["ConfidenceGap"]


@dataclass(frozen=True)
class ConfidenceGap(Measure):
    """Loss of confidence in the label."""

    title = "confidence lost in the label"
    unit = "probability"
    low = -1
    high = 1
    zero_floor = True

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """p_reference(y) - p_candidate(y): positive is collateral forgetting."""
        return reference.label_log_probability.exp() - candidate.label_log_probability.exp()
