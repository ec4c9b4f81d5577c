"""SFRon: adaptive ascent on the weights that matter to the forget set, and five steps of repair for each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.steps import PlannedDataset, Step, shuffled
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._importance import gradients, mean_over_groups
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check, _of_process_0
from unlearn_audit.models.prediction import evaluation_mode

__all__ = ["SFRon"]

GROUP = 128
_TINY = 1e-15  # theirs: where neither set has a gradient, the ratio is 1


@dataclass(eq=False, kw_only=True)
class SFRon(UnlearningCallback):
    """SFRon: a forget step −α_t Σ w_i CE_i before every `period`-th retain step, which minimises the cross-entropy.

    w_i ∝ CE_i^−focus over the examples of the step, so that those that are already forgotten count less;
    α_t = strength (1 + cos(π t / T)) / 2 falls to 0. In forget steps only weights move for which the squared gradients
    of the original on the forget set are at least `ratio` times those on the retain set (means over batches of 128, in
    evaluation mode), and the gradient is clipped to `max_norm`. Retain steps move all. One momentum for both.

    The weights w are those of the model in evaluation mode before the step; the authors take them from the forward pass
    of the step itself, which would depend on how it is split over processes.

    Attributes:
        strength: of the ascent at its beginning.
        focus: λ, 0 for equal weights.
        ratio: γ.
        period: retain steps to a forget step.
        max_norm: of the gradient in forget steps.

    Reference: Huang et al. 2024 (arXiv 2409.19732); theirs is 1500 retain steps of 128 examples.
    """

    retain_share: float = 1.0
    strength: float = 25.0
    focus: float = 0.5
    ratio: float = 1.0
    period: int = 5
    max_norm: float = 7.0

    ascends: ClassVar[bool] = True
    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="yes", cost="1.3 E n_r / n + 1"
    )
    training_defaults: ClassVar[Settings] = sgd(
        epochs=4, learning_rate=0.01, weight_decay=5e-4, batch_size=128, scheduler="cosine"
    )
    search_space: ClassVar[Settings] = space(rates=(1e-3, 1e-2), epochs=(1, 2, 4))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.strength > 0, self, "strength", "positive")
        _check(self.focus >= 0, self, "focus", "at least 0")
        _check(self.ratio > 0, self, "ratio", "positive")
        _check(self.period >= 1, self, "period", "at least 1 step")
        _check(self.max_norm > 0, self, "max_norm", "positive")
        self._salient: dict[str, Tensor] = {}
        self._weights, self._ascent = torch.empty(0), 0.0

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Find the weights (bool, by parameter) that move in forget steps."""
        forget, retain = (
            mean_over_groups(gradients(model, examples, rows, F.cross_entropy, group=GROUP), torch.square)
            for rows in (examples.forget_rows, examples.retain_rows)
        )
        found = {name: (forget[name] + _TINY) >= self.ratio * (retain[name] + _TINY) for name in forget}
        self._salient = _of_process_0(found)

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Return one pass over the retain examples, and forget steps between."""
        draws = {"seed": self.seed, "epoch": epoch}
        forget = cycle(shuffled("forget", examples.forget_rows, size, **draws))
        for number, step in enumerate(shuffled("retain", examples.retain_rows, size, **draws)):
            if number % self.period == 0:
                yield next(forget)
            yield step

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Weigh the examples of a forget step."""
        super().on_step_begin(args, state, control, **kwargs)
        if self.step.phase == "forget" and self._planned is not None:
            self._ascent = self.strength * (1 + math.cos(math.pi * state.global_step / max(1, state.max_steps))) / 2
            self._weights = self.weights(model, self._planned, self.step.rows, draws=state.global_step)

    @torch.no_grad()
    def weights(self, model: nn.Module, examples: PlannedDataset, rows: Tensor, *, draws: int) -> Tensor:
        """Return w, in the place of each row of the images; they sum to 1 over `rows` (m,)."""
        losses = []
        with evaluation_mode(model):
            for part in rows.unique().split(GROUP):
                batch = examples.batch(part, draws=draws)
                logits = model(pixel_values=batch["pixel_values"]).logits.float()
                losses.append(F.cross_entropy(logits, batch["labels"], reduction="none"))
        found = torch.zeros(len(examples.images), device=losses[0].device)
        found[rows.unique().to(found.device)] = torch.cat(losses).clamp_min(1e-6).pow(-self.focus)
        return found / found[rows.to(found.device)].sum()

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss (n,) of the present phase; over a forget step its mean is −α_t Σ w_i CE_i."""
        loss = F.cross_entropy(logits, batch["labels"], reduction="none")
        if self.step.phase != "forget":
            return loss
        return -self._ascent * self._weights[batch["index"]] * len(self.step.rows) * loss

    def change_gradients(self, model: nn.Module, epochs: float) -> None:
        """In forget steps, move salient weights only, and not far."""
        if not self._salient:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds the weights.")
        if self.step.phase == "forget":
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self._salient[name].to(parameter.grad.device))
            nn.utils.clip_grad_norm_(model.parameters(), self.max_norm)
