"""Jensen-Shannon divergence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs, plogp

__all__ = ["JensenShannon"]


@dataclass(frozen=True)
class JensenShannon(Measure):
    """Jensen-Shannon divergence."""

    title = "Jensen-Shannon divergence"
    unit = "bits"
    low = 0
    high = 1

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """(KL(p ‖ m) + KL(q ‖ m)) / 2 with m = (p + q) / 2, as H(m) - (H(p) + H(q)) / 2, in bits (Lin 1991).

        Where p = q, m is the same number and so are all three entropies: the result is exactly 0.
        """
        mixture = (candidate.probabilities + reference.probabilities).mul_(0.5)
        nats = (candidate.entropy_terms + reference.entropy_terms) * 0.5 - plogp(mixture)
        return nats.div(math.log(2)).clamp(0, 1)
