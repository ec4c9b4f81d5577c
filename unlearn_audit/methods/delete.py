"""DELETE: the original's own prediction without the class that is to be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd
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

    scope: ClassVar[Scope] = Scope(needs="forget", random="no", partial="no", whole="yes", cost="1.3 E n_f / n")
    training_defaults: ClassVar[Settings] = sgd(epochs=20, learning_rate=5e-5, batch_size=128)

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
