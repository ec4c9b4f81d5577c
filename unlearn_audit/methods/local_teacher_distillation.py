"""Local Teacher Distillation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import ConfigurationError, MethodError, did_you_mean
from unlearn_audit.methods import _targets
from unlearn_audit.methods._distillation import LocalDistillation
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._teacher_training import StepDown, StopAtRunningAccuracy
from unlearn_audit.methods._teachers import HEADS, RESET, train_teacher
from unlearn_audit.methods.base import _check
from unlearn_audit.models.cifar_resnet import CIFAR_RESNETS
from unlearn_audit.models.naming import timm_names, transformers_names
from unlearn_audit.training import TrainingConfig

__all__ = ["LocalTeacherDistillation"]

STEP_AT, STEP = 200, 0.1  # epoch from which on a constant learning rate is multiplied, and by what


@dataclass(eq=False, kw_only=True)
class LocalTeacherDistillation(LocalDistillation):
    """LTD: forget examples learn what a small local teacher says of them, which never saw them.

    The teacher is trained from scratch on the support alone, and sees the same augmented view as the student. On a
    small support it stops before its BatchNorm settles: with 300 digits the nearest neighbours came out 15 noise floors
    away, with 1,000 only 2.2.

    Attributes:
        teacher: a timm architecture ("resnet8" … "resnet56", "cnn3", "vit_tiny_patch4"); "linear" or "mlp", a head on
            frozen embeddings of the original model; or "reset", the original with its last third of layers made anew.
        teacher_depth: blocks of a ViT teacher (the paper uses 4 and 8); None leaves the architecture as it is.
        targets_from: how the teacher's softmax becomes a target: "top" (the `top_m` largest, renormalised), "soft",
            "hard" (the argmax) or "threshold" (those of at least `threshold`, renormalised).
        teacher_shortcut: of a "resnet8" … "resnet110": "B", the authors' 1 x 1 convolutions with BatchNorm, or "A",
            zero padding without parameters.
        teacher_epochs: at most. The learning rate falls to a tenth after 200, but not that of AdamW, which follows a
            cosine.
        teacher_accuracy: the teacher stops after the first epoch in which it was right so often on the augmented
            batches that it learned from.
        teacher_learning_rate: None takes 0.2 with SGD, and 1e-3 with AdamW for ViT teachers.
        teacher_folder: where the teacher's training keeps its checkpoints, to go on there if it is interrupted.

    Reference: Dolgova and Stich 2026 (arXiv 2605.31317), section on LTD.
    """

    teacher: str = "resnet8"
    teacher_depth: int | None = None
    teacher_shortcut: str = "B"
    targets_from: str = "top"
    top_m: int = 3
    threshold: float = 0.02
    teacher_epochs: int = 250
    teacher_accuracy: float = 0.99
    teacher_learning_rate: float | None = None
    teacher_folder: str | None = field(default=None, metadata={"incidental": True})  # changes no result

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="with care", cost="1.3 E n_f / n, and the teacher"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rate, depth = self.teacher_learning_rate, self.teacher_depth
        named = (*HEADS, RESET)
        if not (self.teacher in named or self.teacher in timm_names() or self.teacher in transformers_names()):
            raise ConfigurationError(
                f"{type(self).__name__}: expected teacher to be an architecture of timm or transformers, or one of "
                f"{named}, got {self.teacher!r}.{did_you_mean(self.teacher, [*named, *timm_names()])}"
            )
        _check(depth is None or 1 <= depth <= 1000, self, "teacher_depth", "a number of blocks from 1 to 1000")
        _check(rate is None or rate > 0, self, "teacher_learning_rate", "more than 0")
        _check(self.targets_from in _targets.MODES, self, "targets_from", f"one of {_targets.MODES}")
        _check(self.top_m >= 1, self, "top_m", "a number of classes of at least 1")
        _check(0 <= self.threshold < 1, self, "threshold", "a probability in [0, 1)")
        _check(self.teacher_shortcut in ("A", "B"), self, "teacher_shortcut", "'A' or 'B'")
        _check(self.teacher_epochs >= 1, self, "teacher_epochs", "at least 1")
        _check(0 < self.teacher_accuracy <= 1, self, "teacher_accuracy", "a share in (0, 1]")
        self._teacher: nn.Module | None = None

    def learn_from(self, model: nn.Module, examples: ExampleDataset, embeddings: Tensor, support_rows: Tensor) -> None:
        """Train the teacher on the support."""
        arguments: dict[str, Any] = {} if self.teacher_depth is None else {"depth": self.teacher_depth}
        if self.teacher in CIFAR_RESNETS:
            arguments["shortcut"] = self.teacher_shortcut
        folder = None if self.teacher_folder is None else Path(self.teacher_folder)
        config = self.teacher_config()
        callbacks: list[TrainerCallback] = [StopAtRunningAccuracy(self.teacher_accuracy)]
        if config.scheduler == "constant":
            callbacks.append(StepDown(STEP_AT, STEP))
        arguments |= {"seed": self.seed, "folder": folder, "callbacks": callbacks}
        self._teacher = train_teacher(self.teacher, model, examples, support_rows, config, **arguments)

    def teacher_config(self) -> TrainingConfig:
        """Return the teacher's training: SGD for convolutional teachers and heads, AdamW with cosine for ViTs."""
        settings: dict[str, Any] = {
            "epochs": self.teacher_epochs,
            "batch_size": 256,
            "weight_decay": 1e-4,
            "augment": self.teacher not in HEADS,
        }
        if self.teacher.startswith(("vit", "deit")):
            settings |= {"optimizer": "adamw", "scheduler": "cosine", "learning_rate": 1e-3}
        else:
            settings |= {"optimizer": "sgd", "momentum": 0.9, "nesterov": False, "scheduler": "constant"}
            settings |= {"learning_rate": 0.2}
        if self.teacher_learning_rate is not None:
            settings["learning_rate"] = self.teacher_learning_rate
        return TrainingConfig(**settings)

    @torch.no_grad()
    def targets(self, batch: dict[str, Tensor], forget: Tensor) -> Tensor:
        """Return the teacher's targets (f, c) on the same augmented views as the student's."""
        if self._teacher is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which trains the teacher.")
        logits = self._teacher(pixel_values=batch["pixel_values"][forget]).logits.float()
        return _targets.soft_targets(
            logits, self.targets_from, temperature=self.temperature, top_m=self.top_m, threshold=self.threshold
        )
