"""Flips of what all references agree on."""

from __future__ import annotations

from torch import Tensor

from unlearn_audit.measures._measure import Measure
from unlearn_audit.measures._outputs import Outputs

__all__ = ["MEASURE"]


def _consensus_flip(candidate: Outputs, reference: Outputs) -> Tensor:
    """1 where one model predicts the label and the other does not, else 0."""
    return (candidate.correct != reference.correct).float()


# Where all references agree, they do not differ from each other: the floor is 0, as it is for signed measures.
MEASURE = Measure(
    "consensus_flip",
    "flips against the references' consensus",
    "share",
    0,
    1,
    _consensus_flip,
    signed=True,
    where_references_agree=True,
)
