"""What Local Teacher Distillation and its variants share: the student's side (arXiv 2605.31317)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.methods import support
from unlearn_audit.methods._settings import Settings, adamw, space
from unlearn_audit.methods._targets import soft_cross_entropy
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget


@dataclass(eq=False, kw_only=True)
class LocalDistillation(UnlearningCallback):
    """Distil local targets on forget examples while training on retain examples with their labels.

    Attributes:
        n_support: how many retained examples the targets come from.
        support: which: the "nearest" to the forget centre, "random" ones or the "farthest".
        temperature: T; divides the student's logits on forget examples (and the teacher's).
        forget_weight: of a forget example's loss.
        retain_weight: of a retain example's loss.
        retain_choice: which retain examples to train on where `retain_share` < 1: "random", "nearest", "farthest".
    """

    retain_share: float = 1.0
    n_support: int = 1000
    support: str = "nearest"
    temperature: float = 1.0
    forget_weight: float = 2.0
    retain_weight: float = 1.0
    retain_choice: str = "random"

    training_defaults: ClassVar[Settings] = adamw(epochs=10, learning_rate=1e-4, weight_decay=1e-6)
    search_space: ClassVar[Settings] = space(rates=(1e-5, 1e-2), epochs=(1, 2, 5))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.n_support >= 1, self, "n_support", "a number of examples of at least 1")
        _check(self.support in support.CHOICES, self, "support", f"one of {support.CHOICES}")
        _check(self.retain_choice in support.CHOICES, self, "retain_choice", f"one of {support.CHOICES}")
        _check(self.temperature > 0, self, "temperature", "positive")
        _check(self.forget_weight > 0, self, "forget_weight", "positive")
        _check(self.retain_weight >= 0, self, "retain_weight", "at least 0")
        self._proximity: Tensor | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Embed the training examples once, choose the support and learn from it."""
        embeddings = support.embed(model, examples)
        self._proximity = support.centroid_proximity(embeddings, examples)
        rows = support.choose(
            examples.retain_rows, self._proximity, self.n_support, choice=self.support, seed=self.seed
        )
        self.learn_from(model, examples, embeddings, rows)

    def learn_from(self, model: nn.Module, examples: ExampleDataset, embeddings: Tensor, support_rows: Tensor) -> None:
        """Learn from the support what the targets need. `embeddings` (n, d) are those of all images of `examples`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define learn_from(model, examples, embeddings, support_rows)."
        )

    def targets(self, batch: dict[str, Tensor], forget: Tensor) -> Tensor:
        """Return target distributions (f, c) for the forget examples of a batch, which `forget` (n,) tells."""
        raise NotImplementedError(f"{type(self).__name__} must define targets(batch, forget).")

    def retain_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,) of retain examples; what it says of forget examples is not used."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return the forget rows and the chosen `retain_share` of the retain rows."""
        count = round(self.retain_share * len(examples.retain_rows))
        retain = support.choose(examples.retain_rows, self._proximity, count, choice=self.retain_choice, seed=self.seed)
        return torch.cat([examples.forget_rows, retain])

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the weighted loss (n,): soft cross-entropy to the targets on forget examples, else `retain_loss`."""
        forget = is_forget(batch)
        loss = self.retain_weight * self.retain_loss(logits, batch)
        if forget.any():
            targets = self.targets(batch, forget)
            distilled = soft_cross_entropy(logits[forget] / self.temperature, targets)
            loss = loss.masked_scatter(forget, self.forget_weight * distilled)
        return loss
