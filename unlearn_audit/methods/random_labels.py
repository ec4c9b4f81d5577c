"""Random labels for the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from unlearn_audit.data.randomness import draw
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, space
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["RandomLabels"]

_LABEL = 4  # stream of random draws


@dataclass(eq=False, kw_only=True)
class RandomLabels(UnlearningCallback):
    """RL: cross-entropy to uniform random labels on forget examples, fresh in each epoch, and to the true labels on
    retain examples.

    `retain_share=0` (the default) is RL, `retain_share=1` is RL + FT, joined or one after the other (`order`).
    The learning rate suits RL. RL + FT needs SalUn's, 0.01: at 1e-4 the forget predictions of a model of digits move by
    a total variation of 0.006 only, at 0.01 by 0.32.

    Attributes:
        labels: "any" draws from all classes, "wrong" from all but the true one.

    Reference: Golatkar et al. 2020; Dolgova and Stich 2026 (arXiv 2605.31317).
    """

    labels: str = "any"

    scope: ClassVar[Scope] = Scope(
        needs="forget", random="with care", partial="with care", whole="with care", cost="E n_f / n"
    )
    search_space: ClassVar[Settings] = space(rates=(1e-4, 1e-1), epochs=(1, 3, 10))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.labels in ("any", "wrong"), self, "labels", "'any' or 'wrong'")

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,) to random labels on forget examples and to the true ones on the others."""
        if "index" not in batch:
            raise MethodError("Expected a column `index`. Use train_dataset=method.prepare(model, examples).")
        random = self.random_labels(batch["index"], batch["labels"], logits.shape[1])
        return F.cross_entropy(logits, torch.where(is_forget(batch), random, batch["labels"]), reduction="none")

    def random_labels(self, index: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """Return a label (n,) for each example, the same within an epoch whatever the batch."""
        wrong = self.labels == "wrong"
        drawn = draw(index, num_classes - wrong, seed=self.seed, epoch=self.epoch, stream=_LABEL)
        return drawn + (drawn >= labels) if wrong else drawn
