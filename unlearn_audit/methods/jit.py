"""JIT: the model becomes smooth around forget examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unlearn_audit.data.randomness import normal
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["JustInTime"]

_NOISE = 12  # stream of random draws


@dataclass(eq=False, kw_only=True)
class JustInTime(UnlearningCallback):
    """JIT (Lipschitz unlearning): the mean over noises ε of ‖f(x) − f(x + ε)‖ / ‖ε‖ on forget examples, in one pass.

    ε ~ N(0, noise²) on views as the model takes them; f(x + ε) is held, without gradient. BatchNorm and dropout stay in
    evaluation mode in the noisy passes and, by default, BatchNorm in all. The authors sum over a batch of 64 at a rate
    of 3e-4 (VGG-16); this is a mean, at 64 times the rate. They also clamp x + ε to the values of its batch, which
    would make an example's noise depend on the others: here it is not clamped.

    Attributes:
        noise: standard deviation; 0.5 is theirs for whole classes, 0.01 for random examples (VGG-16).
        noises: draws an example.

    Reference: Foster et al. 2024 (arXiv 2402.01401).
    """

    freeze_batchnorm: bool = True
    noise: float = 0.5
    noises: int = 25

    scope: ClassVar[Scope] = Scope(
        needs="forget", random="with care", partial="with care", whole="yes", cost="9 n_f / n"
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=1, learning_rate=0.02, momentum=0.0, batch_size=64)
    search_space: ClassVar[Settings] = space(rates=(1e-3, 1e-1), noise=(0.01, 0.1, 0.5))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.noise > 0, self, "noise", "positive")
        _check(self.noises >= 1, self, "noises", "at least 1")
        _check(self.retain_share == 0, self, "retain_share", "0: it looks at forget examples alone")

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the mean (n,) over noises."""
        if not is_forget(batch).all():
            raise MethodError("Expected forget examples only. Use train_dataset=method.prepare(model, examples).")
        total = torch.zeros(len(logits), device=logits.device)
        for number in range(self.noises):
            views = batch["pixel_values"]
            draws = {"seed": self.seed, "epoch": self.epoch * self.noises + number, "stream": _NOISE}
            noise = self.noise * normal(batch["index"], views.shape[1:], **draws)
            moved = (logits - self.student_logits(views + noise.to(views))).norm(dim=1)
            total = total + moved / noise.flatten(1).norm(dim=1)
        return total / self.noises
