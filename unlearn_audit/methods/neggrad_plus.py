"""NegGrad+: descent on retain and ascent on forget examples in each step, weighted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.methods._steps import Step, cycled, shuffled
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["NegGradPlus"]


@dataclass(eq=False, kw_only=True)
class NegGradPlus(UnlearningCallback):
    """NegGrad+: alpha · mean of CE over retain - (1 - alpha) · mean of CE over forget examples, both in every step.

    Half of each step are retain examples, half are forget examples, which start over when they are through; an epoch is
    one pass over the retain set. GA + FT, by contrast, weighs each example alike, so that a small forget set hardly
    counts. BatchNorm keeps the original's statistics, since half of each batch comes from the forget set.

    Attributes:
        alpha: weight of the retain examples, in [0, 1]. The authors' code has 0.95, SGD without momentum at 0.01.

    Reference: Kurmanji et al. 2023 (arXiv 2302.09880).
    """

    alpha: float = 0.95
    freeze_batchnorm: bool = True

    training_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "epochs": 10,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.0,
            "nesterov": False,
            "weight_decay": 0.0,
            "batch_size": 256,
            "scheduler": "constant",
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 <= self.alpha <= 1, self, "alpha", "a weight in [0, 1]")

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Yield pairs of retain and forget examples."""
        half = max(1, size // 2)
        retain = shuffled(examples.retain_rows, half, seed=self.seed, epoch=epoch)
        forget = cycled(examples.forget_rows, half, seed=self.seed, epoch=epoch)
        for pair in zip(retain, forget, strict=False):
            yield Step(pair)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,), whose mean over the batch is the objective."""
        forget = is_forget(batch)
        n, n_forget = len(forget), int(forget.sum())
        loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        weight = torch.where(forget, -(1 - self.alpha) * n / max(1, n_forget), self.alpha * n / max(1, n - n_forget))
        return weight * loss
