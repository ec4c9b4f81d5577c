"""Bad Teacher: an untrained model teaches the forget set, the original teaches the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import fresh, frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, adamw, space
from unlearn_audit.methods._targets import soft_cross_entropy
from unlearn_audit.methods.base import UnlearningCallback, is_forget

__all__ = ["BadTeacher"]


@dataclass(eq=False, kw_only=True)
class BadTeacher(UnlearningCallback):
    """Bad Teacher: KL(teacher(x) ‖ f(x)), from an untrained model on forget and the original on retain examples.

    Both are frozen and see the same augmented view as the student. No retrained model predicts as an untrained one
    does, nearly uniformly, so that a forget set of single examples is over-forgotten.

    The divergence is summed over classes. The authors' code divides it by their number too, which does not matter with
    Adam, as here, and is a smaller learning rate with SGD.

    Reference: Chundawat et al. 2023 (arXiv 2205.08096).
    """

    retain_share: float = 0.3

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="no", partial="no", whole="with care", cost="1.7 (0.3 + n_f / n) E"
    )
    training_defaults: ClassVar[Settings] = adamw(epochs=1, learning_rate=1e-4)
    search_space: ClassVar[Settings] = space(rates=(1e-5, 1e-3), epochs=(1, 3))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._teachers: tuple[nn.Module, nn.Module] | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep the original, and build a model that knows nothing."""
        self._teachers = frozen(model, examples), fresh(model, examples, seed=self.seed)

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the divergence (n,) from the teacher of each example."""
        targets = self.targets(batch["pixel_values"], is_forget(batch))
        return soft_cross_entropy(logits, targets) + torch.special.xlogy(targets, targets).sum(dim=1)

    @torch.no_grad()
    def targets(self, views: Tensor, forget: Tensor) -> Tensor:
        """Return the teachers' softmax (n, c)."""
        if self._teachers is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the teachers.")
        knows, knows_nothing = (teacher(pixel_values=views).logits.float().softmax(dim=1) for teacher in self._teachers)
        return torch.where(forget[:, None], knows_nothing, knows)
