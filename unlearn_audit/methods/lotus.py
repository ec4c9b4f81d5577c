"""LoTUS: the original's own predictions as targets, smoothed on forget examples as far as they are known too well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw
from unlearn_audit.data.steps import Step
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._accuracy import forget_accuracy
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, adamw, space
from unlearn_audit.methods._targets import soft_cross_entropy
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["Lotus"]

_GUMBEL = 14  # stream of random draws
_BELOW = -0.01  # of the accuracy on unseen examples: forgotten


@dataclass(eq=False, kw_only=True)
class Lotus(UnlearningCallback):
    """LoTUS: cross-entropy to softmax((f₀ + g) / τ) on forget, to a draw from softmax(f₀) on retain examples.

    f₀ are the frozen original's logits of the student's own view, g Gumbel noise, for each example and epoch its own;
    τ = exp(α · (student's accuracy on the forget set − `unseen_accuracy`)), anew before each epoch. Training ends once
    the difference is at most −0.01, though not before the first epoch.

    Attributes:
        alpha: α; 8 is theirs for CIFAR-10, 2 for CIFAR-100.
        unseen_accuracy: of the original on unseen examples, in [0, 1]; 0 where a whole class is forgotten.
        noise: whether targets are drawn; without, they are softmax(f₀ / τ) and softmax(f₀).

    Reference: Spartalis et al. 2025 (arXiv 2503.18314).
    """

    retain_share: float = 0.3
    alpha: float = 8.0
    unseen_accuracy: float = 0.0
    noise: bool = True

    # Trainer takes one step more after the decision to stop: it moves nothing.
    phase_rates: ClassVar[Mapping[str, float]] = MappingProxyType({"stopped": 0.0})
    scope: ClassVar[Scope] = Scope(
        needs="forget and retain",
        random="yes",
        partial="with care",
        whole="with care",
        cost="1.3 E (0.3 n_r + n_f) / n",
    )
    training_defaults: ClassVar[Settings] = adamw(epochs=10, learning_rate=1e-4, weight_decay=5e-4)
    search_space: ClassVar[Settings] = space(
        rates=(1e-5, 1e-2), epochs=(3, 10), alpha=(2.0, 8.0), unseen_accuracy=(0.0, 0.7, 0.95)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.alpha > 0, self, "alpha", "positive")
        _check(0 <= self.unseen_accuracy <= 1, self, "unseen_accuracy", "an accuracy in [0, 1]")
        _check(self.order == "joint", self, "order", "'joint'")
        self._kept: tuple[nn.Module, ExampleDataset] | None = None
        self._above: list[float] = []  # by epoch; in Trainer's checkpoints, so that a resumed epoch keeps its own

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original, and the examples to be accurate on."""
        self._kept, self._above = (frozen(model, examples), examples), []

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the hyperparameters, and how far above unseen examples each epoch began."""
        return {**super().state(), "attributes": {"_above": list(self._above)}}

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take over the loss, and go on from a checkpoint's epochs."""
        super().on_train_begin(args, state, control, model=model, **kwargs)
        self._above = list(state.stateful_callbacks[type(self).__name__]["attributes"]["_above"])
        self.step = Step("", ())

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any) -> None:
        """See how well the student still knows the forget set, and stop where it is forgotten."""
        super().on_epoch_begin(args, state, control, train_dataloader, **kwargs)
        if self._kept is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        if len(self._above) <= self.epoch:
            self._above.append(forget_accuracy(kwargs["model"], self._kept[1]) - self.unseen_accuracy)
        if self.epoch and self._above[self.epoch] <= _BELOW:
            self.step = Step("stopped", ())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the training where it was decided to: not earlier, since Trainer then breaks off an accumulated step."""
        if self.step.phase == "stopped":
            control.should_training_stop = True
            self._first_step += 1  # no step that must move something, in a run that is resumed for it alone

    def before_forward(self, model: nn.Module) -> None:
        """Freeze BatchNorm where asked, and in the step that moves nothing."""
        super().before_forward(model)
        if self.step.phase == "stopped":
            model.eval()

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Give the loss back."""
        super().on_train_end(args, state, control, model=model, **kwargs)
        self._above = []

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,) to the targets."""
        if self._kept is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        with torch.no_grad():
            known = self._kept[0](pixel_values=batch["pixel_values"]).logits.float()
        return soft_cross_entropy(logits, self.targets(known, is_forget(batch), batch["index"]))

    def targets(self, known: Tensor, forget: Tensor, index: Tensor) -> Tensor:
        """Map the original's logits (n, c) to the targets (n, c) of this epoch, for examples `index` (n,)."""
        temperature = math.exp(self.alpha * self._above[self.epoch])
        if not self.noise:
            return torch.where(forget[:, None], (known / temperature).softmax(dim=1), known.softmax(dim=1))
        moved = known + self._gumbel(index, known.shape[1])
        drawn = F.one_hot(moved.argmax(dim=1), known.shape[1]).to(known)
        return torch.where(forget[:, None], (moved / temperature).softmax(dim=1), drawn)

    def _gumbel(self, index: Tensor, classes: int) -> Tensor:
        cells = index[:, None] * classes + torch.arange(classes, device=index.device)
        uniform = (draw(cells, 1 << 23, seed=self.seed, epoch=self.epoch, stream=_GUMBEL) + 0.5) / (1 << 23)
        return -torch.log(-torch.log(uniform))
