"""SalUn: random labels on salient weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.random_labels import RandomLabels

__all__ = ["SalUn"]


@dataclass(eq=False, kw_only=True)
class SalUn(RandomLabels):
    """SalUn: random labels with retain examples, moving only the salient half of the weights.

    The mask is `saliency_share`, which every other method takes too.

    The learning rate is that of the authors' code, 0.01, at which the forget predictions of a model of digits move by a
    total variation of 0.31.

    Reference: Fan et al. 2024 (arXiv 2310.12508).
    """

    retain_share: float = 1.0
    saliency_share: float | None = 0.5

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="with care", whole="with care", cost="E"
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=0.01, weight_decay=1e-6)
    search_space: ClassVar[Settings] = space(rates=(1e-3, 1e-1), epochs=(1, 2, 5))
