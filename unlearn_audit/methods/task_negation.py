"""Task negation: away from the original, the way that learning the forget set better would go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check

__all__ = ["TaskNegation"]


@dataclass(eq=False, kw_only=True)
class TaskNegation(UnlearningCallback):
    """Task negation: θ₀ learns the forget set on, to θ; then θ ← θ₀ − scale · (θ − θ₀).

    What BatchNorm counts stays as the original has it, by default: the way is one of weights.

    Attributes:
        scale: λ, to be searched; the authors choose it by accuracy on what is to be kept.

    Reference: Ilharco et al. 2022 (arXiv 2212.04089).
    """

    freeze_batchnorm: bool = True
    scale: float = 1.0

    scope: ClassVar[Scope] = Scope(
        needs="forget", random="with care", partial="with care", whole="with care", cost="E n_f / n"
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=0.01)
    search_space: ClassVar[Settings] = space(rates=(1e-4, 1e-2), epochs=(1, 3, 10), scale=(0.5, 1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.scale > 0, self, "scale", "positive")
        _check(self.retain_share == 0, self, "retain_share", "0: it learns the forget set alone")
        self._start: dict[str, Tensor] = {}

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Remember the original's weights."""
        self._start = {name: p.detach().clone() for name, p in model.named_parameters()}

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,)."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")

    def finish(self, model: nn.Module) -> None:
        """Go the opposite way from the original."""
        if not self._start:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the weights.")
        for name, parameter in model.named_parameters():
            start = self._start[name].to(parameter)
            parameter.copy_(start - self.scale * (parameter - start))
