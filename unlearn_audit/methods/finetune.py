"""Fine-tuning on the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw_rows
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, is_forget

__all__ = ["FineTune"]


@dataclass(eq=False, kw_only=True)
class FineTune(UnlearningCallback):
    """FT: cross-entropy on the retain set (or `retain_share` of it) alone, hoping that the rest is forgotten.

    The learning rate is that of the public code of SalUn's authors, 0.01: fine-tuning hardly forgets at any, but at
    1e-4 it hardly moves (on digits, 0.02 % of the weights against 1.1 %).

    Reference: Golatkar et al. 2020 (catastrophic forgetting); Dolgova and Stich 2026 (arXiv 2605.31317).
    """

    retain_share: float = 1.0

    scope: ClassVar[Scope] = Scope(
        needs="retain", random="with care", partial="with care", whole="with care", cost="E n_r / n"
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=0.01, weight_decay=1e-6)
    search_space: ClassVar[Settings] = space(rates=(1e-3, 4e-1), epochs=(1, 2, 5))

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return `retain_share` of the retain rows (m,)."""
        return draw_rows(examples.retain_rows, self.retain_share, seed=self.seed)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,)."""
        if is_forget(batch).any():
            raise MethodError("Expected retain examples only. Use train_dataset=method.prepare(model, examples).")
        return F.cross_entropy(logits, batch["labels"], reduction="none")
