"""Oracle matching: a model distilled from a retrained one, to see what right targets alone leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, adamw, space
from unlearn_audit.methods.base import UnlearningCallback
from unlearn_audit.models import load_model

__all__ = ["OracleMatching"]


@dataclass(eq=False, kw_only=True)
class OracleMatching(UnlearningCallback):
    """A control, no method of unlearning: match the logits of a retrained model on forget and retain examples.

        loss(x) = mean over classes of (f(x) - oracle(x))²

    The oracle sees the same augmented view. Whoever has one needs no unlearning: what is left here shows what right
    targets alone leave in the same epochs. The audit must not use the oracle as a reference.

    Attributes:
        oracle: the folder of a model that was retrained without the forget set, as `save_model` writes it. In a study
            it is by default the model that is held out for tuning.

    Reference: the objective of Georgiev et al. 2024 (arXiv 2410.23232), with a retrained model in place of their
    predicted logits.
    """

    retain_share: float = 1.0
    oracle: str | None = None

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="yes", cost="1.3 E, and a retraining"
    )
    training_defaults: ClassVar[Settings] = adamw(epochs=2, learning_rate=1e-3)
    search_space: ClassVar[Settings] = space(rates=(3e-4, 1e-2), epochs=(2, 5))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._oracle: nn.Module | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Load the oracle, frozen, on the examples' device."""
        if self.oracle is None:
            raise MethodError(
                "oracle: expected the folder of a model that was retrained without the forget set, and that no audit "
                "uses as a reference, got none."
            )
        self._oracle = frozen(load_model(self.oracle), examples)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the mean squared difference of logits (n,)."""
        return F.mse_loss(logits, self.targets(batch["pixel_values"]), reduction="none").mean(dim=1)

    @torch.no_grad()
    def targets(self, views: Tensor) -> Tensor:
        """Return the oracle's logits (n, c)."""
        if self._oracle is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the oracle.")
        return self._oracle(pixel_values=views).logits.float()
