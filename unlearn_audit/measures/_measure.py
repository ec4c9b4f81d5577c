"""What a measure is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unlearn_audit.measures._outputs import Outputs


@dataclass(frozen=True)
class Measure:
    """A pointwise distance d(candidate, reference) between two models' predictions on the same examples.

    Attributes:
        name: its name everywhere, that of its file.
        title: what people read.
        unit: "bits", "nats", "probability" or "share".
        low: smallest possible value.
        high: largest possible value; None if unbounded.
        function: from the two models' `Outputs` on n examples to the discrepancy (n,).
        signed: whether it can be negative; its noise floor is then 0 by symmetry.
        symmetric: whether d(p, q) = d(q, p) up to rounding.
        where_references_agree: count only examples on which all references agree whether the label is predicted.
    """

    name: str
    title: str
    unit: str
    low: float
    high: float | None
    function: Callable[[Outputs, Outputs], Tensor]
    signed: bool = False
    symmetric: bool = True
    where_references_agree: bool = False

    def __call__(self, candidate: Outputs, reference: Outputs) -> Tensor:
        """Return the discrepancy (n,) of the candidate from the reference."""
        return self.function(candidate, reference)

    def of_logits(self, candidate: Any, reference: Any, labels: Any) -> Tensor:
        """Return the discrepancy (n,) for logits (n, c) of both models and labels (n,): arrays or tensors."""
        import torch

        labels = torch.as_tensor(labels)
        return self(Outputs(torch.as_tensor(candidate), labels), Outputs(torch.as_tensor(reference), labels))
