"""MSG: convolution weights that matter least to the difference of retain and forget set are drawn anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw_rows
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._importance import gradients, mean_over_groups
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods._weights import convolutions, draw_anew
from unlearn_audit.methods.base import _check, _of_process_0
from unlearn_audit.methods.finetune import FineTune

__all__ = ["MaskedSmallGradients"]


@dataclass(eq=False, kw_only=True)
class MaskedSmallGradients(FineTune):
    """MSG: in each convolution, the `share` of weights with the smallest |g| is drawn anew; the retain set repairs.

    g is the gradient of the cross-entropy on as many random retain examples as are forgotten, minus that on the forget
    set, in batches of 64, in evaluation mode and without augmentation. In training, the gradients of the other
    convolution weights are multiplied by `slowed`. New weights are Kaiming normal (fan out), from `seed`.

    The authors raise and lower the rate by a third of it an epoch; here it rises and falls linearly. On a ViT only the
    embedding of patches is a convolution.

    Attributes:
        share: of each convolution's weights that are drawn anew.
        slowed: what the gradients of the others are multiplied by.

    Reference: an entry of the NeurIPS 2023 competition, described by Triantafillou et al. 2024 (arXiv 2406.09073).
    Cadet et al. 2024 (arXiv 2410.01276) rank it among the best two of 18 methods.
    """

    share: float = 0.3
    slowed: float = 0.1

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="yes", cost="(E n_r + 2 n_f) / n"
    )
    training_defaults: ClassVar[Settings] = sgd(
        epochs=5, learning_rate=1e-3, weight_decay=5e-4, batch_size=64, scheduler="linear", warmup=0.5
    )
    search_space: ClassVar[Settings] = space(rates=(1e-3, 1e-1), epochs=(3, 5))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(0 < self.share < 1, self, "share", "a share in (0, 1)")
        _check(0 <= self.slowed <= 1, self, "slowed", "a factor in [0, 1]")
        self._anew: dict[str, Tensor] = {}

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Find the weights (bool, by parameter) that are drawn anew."""
        forget, retain = examples.forget_rows, examples.retain_rows
        some = draw_rows(retain, min(1.0, len(forget) / len(retain)), seed=self.seed)
        mine, theirs = (
            mean_over_groups(gradients(model, examples, rows, F.cross_entropy, group=64), lambda g: g)
            for rows in (forget, some)
        )
        names = convolutions(model)
        if not names:
            raise MethodError("Expected a model with convolutions, which this method draws anew; it has none.")
        found = {name: _smallest((theirs[name] - mine[name]).abs(), self.share) for name in names}
        self._anew = _of_process_0(found)

    def edit(self, model: nn.Module) -> None:
        """Draw them anew."""
        if not self._anew:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds the weights.")
        generator = torch.Generator().manual_seed(self.seed)
        for name, anew in self._anew.items():
            weight = model.get_parameter(name)
            fresh = draw_anew(weight, generator)
            weight.copy_(torch.where(anew.to(weight.device), fresh, weight))

    def change_gradients(self, model: nn.Module, epochs: float) -> None:
        """Slow down the convolution weights that were not drawn anew."""
        for name, anew in self._anew.items():
            gradient = model.get_parameter(name).grad
            if gradient is not None:
                gradient.mul_(torch.where(anew.to(gradient.device), 1.0, self.slowed))


def _smallest(values: Tensor, share: float) -> Tensor:
    """Return which values (bool, of the same shape) are the smallest `share`, exactly so many."""
    chosen = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    chosen[values.flatten().argsort(stable=True)[: round(share * values.numel())]] = True
    return chosen.view_as(values)
