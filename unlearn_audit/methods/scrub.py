"""SCRUB: away from the original on forget examples, then close to it on retain examples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._steps import Step, shuffled
from unlearn_audit.methods.base import UnlearningCallback, _check

__all__ = ["Scrub"]

_MIN, _MAX = 0, 1


@dataclass(eq=False, kw_only=True)
class Scrub(UnlearningCallback):
    """SCRUB: steps that maximise the divergence from the original on forget examples, then steps that minimise it.

        max steps, in the first `max_epochs` epochs:  -T² · KL(original(x) ‖ f(x)) on the forget set
        min steps, in every epoch:  gamma · CE + alpha · T² · KL(original(x) ‖ f(x)) on the retain set

    Where the model and the original agree exactly, the divergence has no gradient: with BatchNorm frozen, as by default
    and in the authors' models, and without dropout, the first max steps do nothing. With `start="min"` none is wasted.

    Attributes:
        alpha: weight of the divergence on retain examples.
        gamma: weight of the cross-entropy.
        temperature: T; divides the logits of both.
        max_epochs: epochs that begin with max steps (the authors' `msteps`).
        max_share: examples of a max step, as a share of those of a min step.
        start: what an epoch begins with, "max" as the authors or "min".

    The defaults are those of the authors' large-scale experiments. Reference: Kurmanji et al. 2023 (arXiv 2302.09880).
    """

    alpha: float = 0.001
    gamma: float = 0.99
    temperature: float = 4.0
    max_epochs: int = 2
    max_share: float = 0.25
    start: str = "max"
    freeze_batchnorm: bool = True

    training_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "epochs": 3,
            "optimizer": "sgd",
            "learning_rate": 5e-4,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "batch_size": 128,
            "scheduler": "constant",
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.temperature > 0, self, "temperature", "positive")
        _check(self.max_epochs >= 0, self, "max_epochs", "at least 0")
        _check(0 < self.max_share <= 1, self, "max_share", "a share in (0, 1]")
        _check(self.start in ("max", "min"), self, "start", "'max' or 'min'")
        self._original: nn.Module | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original."""
        self._original = frozen(model, examples)

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Yield max steps over the forget set and min steps over the retain set, one kind after the other."""
        few = max(1, round(self.max_share * size))
        away = (Step((rows,), _MAX) for rows in shuffled(examples.forget_rows, few, seed=self.seed, epoch=epoch))
        back = (Step((rows,), _MIN) for rows in shuffled(examples.retain_rows, size, seed=self.seed, epoch=epoch))
        if epoch >= self.max_epochs:
            yield from back
        else:
            yield from itertools.chain(*((away, back) if self.start == "max" else (back, away)))

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,) of the step's phase."""
        divergence = self.divergence(logits, batch["pixel_values"])
        descent = self.gamma * F.cross_entropy(logits, batch["labels"], reduction="none") + self.alpha * divergence
        return torch.where(batch["phase"] == _MAX, -divergence, descent)

    def divergence(self, logits: Tensor, views: Tensor) -> Tensor:
        """Return T² · KL(original ‖ f) (n,) in nats, both at temperature T, on the same augmented views."""
        if self._original is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        with torch.no_grad():
            known = (self._original(pixel_values=views).logits.float() / self.temperature).log_softmax(dim=1)
        own = (logits / self.temperature).log_softmax(dim=1)
        return self.temperature**2 * F.kl_div(own, known, reduction="none", log_target=True).sum(dim=1)
