"""Gradient ascent on the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods.base import UnlearningCallback, is_forget

__all__ = ["GradientAscent"]


@dataclass(eq=False, kw_only=True)
class GradientAscent(UnlearningCallback):
    """GA: minus the cross-entropy on forget examples, plus the cross-entropy on retain examples if there are any.

    `retain_share=0` (the default) is GA, `retain_share=1` is GA + FT, joined or one after the other (`order`).
    GA + FT weighs each example alike, so that the ascent counts for little where the forget set is small; NegGrad+
    (`neggrad_plus`) weighs the means of both sets, and has both in each step. The ascent is unbounded: the learning
    rate and the number of epochs must be tuned.

    Reference: Graves et al. 2021; Dolgova and Stich 2026 (arXiv 2605.31317).
    """

    ascends: ClassVar[bool] = True
    scope: ClassVar[Scope] = Scope(
        needs="forget", random="with care", partial="with care", whole="yes", cost="E n_f / n"
    )

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return -CE (n,) on forget examples and CE on retain examples."""
        loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        return torch.where(is_forget(batch), -loss, loss)
