"""Selective Synaptic Dampening: no training, but less of the weights that matter most to the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._importance import gradients, mean_over_groups, mean_squared_norm
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import NO_TRAINING, Settings, space
from unlearn_audit.methods.base import UnlearningCallback, _check

__all__ = ["SelectiveSynapticDampening"]

IMPORTANCES = ("loss", "output")


@dataclass(eq=False, kw_only=True)
class SelectiveSynapticDampening(UnlearningCallback):
    """SSD, and with `importance="output"` LFSSD: dampen weights by how much more they matter to the forget set.

    I_S is the mean over groups of S of the squared gradient of the mean cross-entropy, or for LFSSD of the absolute
    gradient of the outputs' mean squared norm, which needs no labels. Where I_forget > selection · I_all,

        θ ← θ · min(dampening · I_all / I_forget, 1)

    "all" is the whole training set, with the forget set. The squares of the means of groups depend on their size, so
    that both importances use the same. There is no training: examples are looked at once, and the forget set twice.

    Attributes:
        selection: α, how many times more a weight must matter to the forget set. 10 is theirs for ResNet-18, 5 for ViT.
        dampening: λ.
        importance: "loss" or "output".
        group: examples to a gradient.

    Reference: Foster et al. 2024 (arXiv 2308.07707); LFSSD: Foster et al. 2024 (arXiv 2402.19308).
    """

    selection: float = 10.0
    dampening: float = 1.0
    importance: str = "loss"
    group: int = 64

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="with care", partial="with care", whole="yes", cost="1 + n_f / n"
    )
    training_defaults: ClassVar[Settings] = NO_TRAINING
    search_space: ClassVar[Settings] = space(selection=(3, 10, 30, 100, 300), dampening=(0.1, 1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.selection > 0, self, "selection", "positive")
        _check(self.dampening >= 0, self, "dampening", "at least 0")
        _check(self.importance in IMPORTANCES, self, "importance", f"one of {IMPORTANCES}")
        _check(self.group >= 1, self, "group", "at least 1 example")
        self._kept: dict[str, Tensor] = {}

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Compare what matters to the forget set with what matters to all."""
        forget, everything = (self._importance(model, examples, rows) for rows in (examples.forget_rows, examples.rows))
        self._kept = {
            name: _share_kept(forget[name], everything[name], self.selection, self.dampening) for name in forget
        }

    def edit(self, model: nn.Module) -> None:
        """Dampen the weights."""
        if not self._kept:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds what matters.")
        for name, parameter in model.named_parameters():
            parameter.mul_(self._kept[name].to(parameter.device))

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,): where epochs are asked for, retain examples repair what the edit broke."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return the retain rows (m,), for training after the edit, if there is any."""
        return examples.retain_rows

    def _importance(self, model: nn.Module, examples: ExampleDataset, rows: Tensor) -> dict[str, Tensor]:
        if self.importance == "loss":
            return mean_over_groups(gradients(model, examples, rows, F.cross_entropy, group=self.group), torch.square)
        return mean_over_groups(gradients(model, examples, rows, mean_squared_norm, group=self.group), torch.abs)


def _share_kept(forget: Tensor, everything: Tensor, selection: float, dampening: float) -> Tensor:
    """Return what each weight is multiplied by, in [0, 1]."""
    share = (dampening * everything / forget).clamp(max=1.0)
    return torch.where(forget > selection * everything, share, torch.ones_like(share))
