"""Bounded ascent: gradient ascent on the forget set that ends where there is nothing left to forget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["BoundedAscent"]

BOUNDS = ("npo", "capped", "unlikelihood")


@dataclass(eq=False, kw_only=True)
class BoundedAscent(UnlearningCallback):
    """Ascent whose loss on forget examples is bounded below; retain examples, if any, learn their labels.

    With q the softmax of the label and q₀ that of the frozen original on the same view, `bound` is

        "npo":           (2 / β) log(1 + (q / q₀)^β): at the original the gradient of GA, 0 as q falls to 0
        "capped":        −min(CE, log c): that of GA until the label is as likely as by chance, then 0
        "unlikelihood":  −log(1 − q): strong where GA is weak, on examples that the original is sure of

    BatchNorm keeps the original's statistics: batches of forget examples alone would move them to one class.

    Attributes:
        bound: one of the three.
        beta: β of "npo"; as it falls to 0, this becomes GA.

    Reference: "npo" is ours after Zhang et al. 2024 (arXiv 2404.05868), who made it for language models.
    """

    freeze_batchnorm: bool = True
    bound: str = "npo"
    beta: float = 0.5

    ascends: ClassVar[bool] = True
    scope: ClassVar[Scope] = Scope(
        needs="forget", random="with care", partial="with care", whole="yes", cost="E n_f / n"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.bound in BOUNDS, self, "bound", f"one of {BOUNDS}")
        _check(self.beta > 0, self, "beta", "positive")
        self._original: nn.Module | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original, which "npo" compares with."""
        self._original = frozen(model, examples) if self.bound == "npo" else None

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,)."""
        retained = F.cross_entropy(logits, batch["labels"], reduction="none")
        return torch.where(is_forget(batch), self._bounded(logits, retained, batch), retained)

    def _bounded(self, logits: Tensor, cross_entropy: Tensor, batch: dict[str, Tensor]) -> Tensor:
        if self.bound == "capped":
            return -cross_entropy.clamp(max=math.log(logits.shape[1]))
        if self.bound == "unlikelihood":
            # log(1 − q) as a difference, since 1 − q of a memorised example is 0 in float32
            others = logits.scatter(1, batch["labels"][:, None], float("-inf"))
            return logits.logsumexp(dim=1) - others.logsumexp(dim=1)
        return 2 / self.beta * F.softplus(self.beta * (self._known(batch) - cross_entropy))

    @torch.no_grad()
    def _known(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the original's cross-entropy (n,), −log q₀."""
        if self._original is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        logits = self._original(pixel_values=batch["pixel_values"]).logits.float()
        return F.cross_entropy(logits, batch["labels"], reduction="none")
