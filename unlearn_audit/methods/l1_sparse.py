"""L1-sparse: fine-tuning on the retain set while small weights are driven to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import _check
from unlearn_audit.methods.finetune import FineTune

__all__ = ["L1Sparse"]


@dataclass(eq=False, kw_only=True)
class L1Sparse(FineTune):
    """L1-sparse: cross-entropy on the retain set, and γ_e ‖θ‖₁ over all parameters, BatchNorm and biases too.

    γ_e falls linearly from `penalty` in the first epoch to 0 after the last, or `plain_epochs` before it. Its gradient,
    γ_e sign(θ), is added once a step, after accumulation, reduction over processes and clipping.

    Attributes:
        penalty: γ. The authors' parser has no default that can be used; this one is that of AMUN's comparison. Search
            1e-5 to 1e-2.
        plain_epochs: last epochs without it.

    Reference: Jia et al. 2023 (arXiv 2304.04934).
    """

    penalty: float = 5e-4
    plain_epochs: int = 0

    scope: ClassVar[Scope] = Scope(needs="retain", random="yes", partial="yes", whole="with care", cost="E n_r / n")
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=0.01, weight_decay=5e-4)
    search_space: ClassVar[Settings] = space(rates=(1e-3, 1e-1), epochs=(1, 3), penalty=(1e-5, 1e-4, 5e-4, 1e-3))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.penalty > 0, self, "penalty", "positive")
        _check(self.plain_epochs >= 0, self, "plain_epochs", "at least 0")

    def change_gradients(self, model: nn.Module, epochs: float) -> None:
        """Add the penalty's gradient."""
        strength = self.strength(epochs)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach().sign(), alpha=strength)

    def strength(self, epochs: float) -> float:
        """Return γ_e of the present epoch, of so many."""
        return self.penalty * max(0.0, 1 - self.epoch / max(1.0, epochs - self.plain_epochs))
