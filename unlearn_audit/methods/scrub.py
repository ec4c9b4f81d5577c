"""SCRUB: away from the original on forget examples, towards it and the labels on retain examples, by turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.steps import Step, shuffled
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check

__all__ = ["Scrub"]


@dataclass(eq=False, kw_only=True)
class Scrub(UnlearningCallback):
    """SCRUB: in each of the first epochs a pass over the forget set that maximises KL, in each a pass over the retain
    examples that minimises γ · CE + α · KL; KL = T² KL(softmax(f_original / T) ‖ softmax(f / T)), one optimizer.

    The frozen original sees the student's own views. Where both agree exactly, the gradient of KL is 0: with BatchNorm
    frozen, or without it, the first pass over the forget set moves nothing before one over the retain examples has
    (`start="min"`). The authors' original has no BatchNorm to move.

    Attributes:
        max_epochs: epochs with a pass over the forget set.
        gamma: γ.
        alpha: α.
        temperature: T.
        max_share: examples of a step that maximises, as a share of those of one that minimises.
        start: "max" or "min": which pass of an epoch comes first.

    Reference: Kurmanji et al. 2023 (arXiv 2302.09880); the defaults are those of its large-scale experiments.
    """

    retain_share: float = 1.0
    freeze_batchnorm: bool = True
    max_epochs: int = 2
    gamma: float = 0.99
    alpha: float = 0.001
    temperature: float = 4.0
    max_share: float = 0.25
    start: str = "max"

    ascends: ClassVar[bool] = True
    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="yes", cost="1.3 (E n_r + 2 n_f) / n"
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=3, learning_rate=5e-4, weight_decay=5e-4, batch_size=128)
    search_space: ClassVar[Settings] = space(rates=(1e-4, 1e-2), epochs=(3,), max_epochs=(1, 2, 3))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.max_epochs >= 0, self, "max_epochs", "at least 0")
        _check(self.temperature > 0, self, "temperature", "positive")
        _check(0 < self.max_share <= 1, self, "max_share", "a share in (0, 1]")
        _check(self.start in ("max", "min"), self, "start", "'max' or 'min'")
        self._original: nn.Module | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original."""
        self._original = frozen(model, examples)

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Return the steps that maximise and those that minimise."""
        draws = {"seed": self.seed, "epoch": epoch}
        least = shuffled("min", examples.retain_rows, size, **draws)
        if epoch >= self.max_epochs:
            return least
        most = shuffled("max", examples.forget_rows, max(1, round(self.max_share * size)), **draws)
        return chain(most, least) if self.start == "max" else chain(least, most)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,) of the present phase."""
        divergence = self.divergence(logits, batch["pixel_values"])
        if self.step.phase == "max":
            return -divergence
        return self.gamma * F.cross_entropy(logits, batch["labels"], reduction="none") + self.alpha * divergence

    def divergence(self, logits: Tensor, views: Tensor) -> Tensor:
        """Return T² KL(original ‖ student), (n,), summed over classes."""
        if self._original is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        with torch.no_grad():
            known = (self._original(pixel_values=views).logits.float() / self.temperature).log_softmax(dim=1)
        said = (logits / self.temperature).log_softmax(dim=1)
        return self.temperature**2 * F.kl_div(said, known, reduction="none", log_target=True).sum(dim=1)
