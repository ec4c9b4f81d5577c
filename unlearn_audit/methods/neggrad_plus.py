"""NegGrad+: descent on retain and ascent on forget examples in each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.steps import Step, paired
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["NegGradPlus"]


@dataclass(eq=False, kw_only=True)
class NegGradPlus(UnlearningCallback):
    """NegGrad+: α · mean CE on retain examples − (1 − α) · mean CE on forget examples, both in each step.

    A step is half forget and half retain examples; an epoch is one pass over the retain examples, while the forget set
    goes round. GA + FT is another method: it weighs each example alike, so that a small forget set hardly counts.
    Theirs runs with BatchNorm as the original has it; so does this.

    Attributes:
        alpha: α, in (0, 1].

    Reference: Kurmanji et al. 2023 (arXiv 2302.09880); the defaults are those of its notebook.
    """

    retain_share: float = 1.0
    freeze_batchnorm: bool = True
    alpha: float = 0.95

    ascends: ClassVar[bool] = True
    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="yes", cost="2 E n_r / n"
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=0.01, momentum=0.0)
    search_space: ClassVar[Settings] = space(rates=(1e-4, 1e-2), epochs=(1, 3))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 < self.alpha <= 1, self, "alpha", "a weight in (0, 1]")
        _check(self.retain_share > 0, self, "retain_share", "a share in (0, 1]")

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Return steps of forget and retain examples."""
        forget, retain = examples.forget_rows, examples.retain_rows
        share = max(1, min(size // 2, len(forget)))
        return paired("both", forget, retain, (share, max(1, size - share)), seed=self.seed, epoch=epoch)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,), weighted so that its mean over the step is the objective."""
        forget, retain = (len(part) for part in self.step.parts)
        loss = F.cross_entropy(logits, batch["labels"], reduction="none") * (forget + retain)
        return torch.where(is_forget(batch), -(1 - self.alpha) / forget * loss, self.alpha / retain * loss)
