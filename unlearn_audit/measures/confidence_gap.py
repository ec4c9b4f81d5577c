"""Loss of confidence in the label."""

from __future__ import annotations

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MEASURE"]


def _confidence_gap(candidate: Outputs, reference: Outputs) -> Tensor:
    """p_reference(y) - p_candidate(y): positive is collateral forgetting."""
    return reference.label_log_probability.exp() - candidate.label_log_probability.exp()


MEASURE = Measure("confidence_gap", "confidence lost in the label", "probability", -1, 1, _confidence_gap, signed=True)
