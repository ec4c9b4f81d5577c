"""Total variation distance."""

from __future__ import annotations

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MEASURE"]


def _tv(candidate: Outputs, reference: Outputs) -> Tensor:
    """Half the L1 distance of the two distributions."""
    return ((candidate.probabilities - reference.probabilities).abs_().sum(dim=1) * 0.5).clamp_max(1)


MEASURE = Measure("tv", "total variation distance", "probability", 0, 1, _tv)
