"""DELETE: the original's own prediction without the class that is to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._targets import soft_cross_entropy
from unlearn_audit.methods.base import UnlearningCallback, is_forget

__all__ = ["Delete"]


@dataclass(eq=False, kw_only=True)
class Delete(UnlearningCallback):
    """DELETE: on forget examples, learn what the frozen original says of the same view, with its label left out.

    loss(x) = KL(q ‖ softmax f(x)), q = softmax of f_original(x) with the label's logit at minus infinity. Retain
    examples (`retain_share`; theirs uses none) learn their labels. Made for whole classes: a model retrained without
    some examples of a class still names it on most of them, and this one does not.

    Reference: Zhou et al. 2025 (arXiv 2503.23751).
    """

    training_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "epochs": 20,
            "optimizer": "sgd",
            "learning_rate": 5e-5,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 0.0,
            "batch_size": 128,
            "scheduler": "constant",
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._original: nn.Module | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original."""
        self._original = frozen(model, examples)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the divergence (n,) from the original without the label, and the cross-entropy of retain examples."""
        forget = is_forget(batch)
        loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        if not forget.any():
            return loss
        targets = self.targets(batch["pixel_values"][forget], batch["labels"][forget])
        entropy = -torch.special.xlogy(targets, targets).sum(dim=1)
        return loss.masked_scatter(forget, soft_cross_entropy(logits[forget], targets) - entropy)

    @torch.no_grad()
    def targets(self, views: Tensor, labels: Tensor) -> Tensor:
        """Return q (f, c): what the original says of these views, the label left out."""
        if self._original is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        logits = self._original(pixel_values=views).logits.float()
        return logits.scatter(1, labels[:, None], float("-inf")).softmax(dim=1)
