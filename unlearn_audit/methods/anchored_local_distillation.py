"""Anchored Local Distillation: Local Teacher Distillation with a small part of the retain set and short teachers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw_rows
from unlearn_audit.errors import MethodError
from unlearn_audit.methods import support
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._distillation import LocalDistillation
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._targets import soft_cross_entropy
from unlearn_audit.methods._teachers import HEADS, train_teacher
from unlearn_audit.methods.base import _check
from unlearn_audit.training import TrainingConfig

__all__ = ["AnchoredLocalDistillation"]


@dataclass(eq=False, kw_only=True)
class AnchoredLocalDistillation(LocalDistillation):
    """ALD: what is forgotten follows a few short local teachers, what is kept is anchored at the original's own words.

    LTD spends its time on full epochs over the retain set, and on a teacher trained until it fits its support. Here
    `near_share` of a small `retain_share` are the retained examples nearest to the forget set, where damage would
    show, and the others are random. Their targets are what the original model, frozen, says of the same augmented
    view: labels would teach more than is to be kept. Forget examples learn the mean softmax of `teachers` small
    networks, trained from scratch on the support for few epochs with other seeds. BatchNorm keeps the original's
    statistics, as the examples are no fair sample of the data.

        loss(x) = forget_weight · CE(mean teacher(x), f(x) / T)  on forget examples
                  retain_weight · CE(original(x), f(x))          on retain examples

    Measured (docs/results.md), on half of a class that is memorised it forgets more than LTD and damages the rest of it
    less, best with `teacher="reset"`; it must not be used for examples at random, where everything suffers.

    Attributes:
        near_share: share of the retain examples trained on that are the nearest to the forget centre.
        teachers: how many local teachers.
        teacher: a timm architecture; "linear" or "mlp", a head on frozen embeddings of the original model; or "reset",
            the original with the last third of its layers made anew and the others frozen.
        teacher_epochs: over the support, with the learning rate falling to 0 along a cosine.
        teacher_learning_rate: the largest, of SGD with Nesterov's momentum and batches of 64.

    Reference: this package; what it varies is LTD, Dolgova and Stich 2026 (arXiv 2605.31317).
    """

    retain_share: float = 0.1
    freeze_batchnorm: bool = True
    near_share: float = 0.5
    teachers: int = 2
    teacher: str = "resnet8"
    teacher_epochs: int = 15
    teacher_learning_rate: float = 0.1

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain",
        random="yes",
        partial="yes",
        whole="with care",
        cost="1.3 E (n_f + 0.1 n_r) / n, and the teachers",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 <= self.near_share <= 1, self, "near_share", "a share in [0, 1]")
        _check(self.teachers >= 1, self, "teachers", "at least 1")
        _check(self.teacher_epochs >= 1, self, "teacher_epochs", "at least 1")
        _check(self.teacher_learning_rate > 0, self, "teacher_learning_rate", "positive")
        self._original: nn.Module | None = None
        self._teachers: list[nn.Module] = []

    def learn_from(self, model: nn.Module, examples: ExampleDataset, embeddings: Tensor, support_rows: Tensor) -> None:
        """Keep a frozen copy of the original, and train the teachers on the support."""
        self._original = frozen(model, examples)
        config = TrainingConfig(
            epochs=self.teacher_epochs,
            learning_rate=self.teacher_learning_rate,
            batch_size=64,
            augment=self.teacher not in HEADS,
        )
        self._teachers = [
            train_teacher(self.teacher, model, examples, support_rows, config, seed=self.seed + number)
            for number in range(self.teachers)
        ]

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return the forget rows, the nearest retain rows, and random ones of the others (m,)."""
        retain = examples.retain_rows
        count = round(self.retain_share * len(retain))
        near = support.choose(retain, self._proximity, round(self.near_share * count), choice="nearest", seed=self.seed)
        others = retain[~torch.isin(retain, near)]
        drawn = draw_rows(others, (count - len(near)) / max(1, len(others)), seed=self.seed)
        return torch.cat([examples.forget_rows, near, drawn])

    @torch.no_grad()
    def targets(self, batch: dict[str, Tensor], forget: Tensor) -> Tensor:
        """Return the mean of the teachers' softmax (f, c) on the same augmented views as the student's."""
        if not self._teachers:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which trains the teachers.")
        views = batch["pixel_values"][forget]
        logits = [teacher(pixel_values=views).logits.float() for teacher in self._teachers]
        return torch.stack([(one / self.temperature).softmax(dim=1) for one in logits]).mean(dim=0)

    def retain_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the soft cross-entropy (n,) to what the original says of the same augmented views."""
        if self._original is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        with torch.no_grad():
            kept = self._original(pixel_values=batch["pixel_values"]).logits.float().softmax(dim=1)
        return soft_cross_entropy(logits, kept)
