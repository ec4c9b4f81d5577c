"""Flips of what all references agree on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["ConsensusFlip"]


@dataclass(frozen=True)
class ConsensusFlip(Measure):
    """Flips of what all references agree on."""

    title = "flips against the references' consensus"
    unit = "share"
    low = 0
    high = 1
    zero_floor = True  # where all references agree, they do not differ from each other
    where_references_agree = True

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """1 where one model predicts the label and the other does not, else 0."""
        return (candidate.correct != reference.correct).float()
