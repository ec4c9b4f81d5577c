"""Total variation distance."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["TotalVariation"]


@dataclass(frozen=True)
class TotalVariation(Measure):
    """Total variation distance."""

    title = "total variation distance"
    unit = "probability"
    low = 0
    high = 1

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """Half the L1 distance of the two distributions."""
        return ((candidate.probabilities - reference.probabilities).abs_().sum(dim=1) * 0.5).clamp_max(1)
