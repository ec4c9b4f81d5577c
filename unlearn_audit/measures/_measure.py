"""What a measure is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unlearn_audit.measures import registry
from unlearn_audit.measures._outputs import Outputs
from unlearn_audit.registry import Plugin


@dataclass(frozen=True)
class Measure(Plugin, ABC):
    """A pointwise distance d(candidate, reference) between two models' predictions on the same examples.

    A measure is a frozen dataclass: its fields are its options, each with a default. Called with the `Outputs` of the
    candidate and of a reference on n examples it returns the discrepancy (n,).

    Attributes:
        title: what people read.
        unit: "bits", "nats", "probability" or "share".
        low: smallest possible value.
        high: largest possible value; None if unbounded.
        zero_floor: whether the noise floor is 0 by definition: as for a difference that is as often negative as it is
            positive between two retrained models.
        symmetric: whether d(p, q) = d(q, p) up to rounding.
        where_references_agree: count only examples on which all references agree whether the label is predicted.
    """

    registry = registry
    title: ClassVar[str]
    unit: ClassVar[str]
    low: ClassVar[float]
    high: ClassVar[float | None]
    zero_floor: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True
    where_references_agree: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """Return the discrepancy (n,) of the candidate from the reference."""

    def of_logits(self, candidate: Any, reference: Any, labels: Any) -> Tensor:
        """Return the discrepancy (n,) for logits (n, c) of both models and labels (n,): arrays or tensors."""
        labels = torch.as_tensor(labels)
        return self(Outputs(torch.as_tensor(candidate), labels), Outputs(torch.as_tensor(reference), labels))
