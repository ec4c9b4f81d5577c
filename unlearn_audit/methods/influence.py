"""Influence unlearning: one step that undoes what the forget set did to the optimum, with a true inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import psutil
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import permutation
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._importance import gradients, mean_over_groups
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import NO_TRAINING, Settings, space
from unlearn_audit.methods.base import UnlearningCallback, _check

__all__ = ["Influence"]

CURVATURES = ("woodbury", "published", "none")


@dataclass(eq=False, kw_only=True)
class Influence(UnlearningCallback):
    """Influence unlearning (IU, WoodFisher): θ ← θ + strength · H⁻¹ v, without training.

    v = Σ_forget ∇CE / n − (n_f / (n n_r)) Σ_retain ∇CE. With gradients g of `samples` single retain examples, drawn by
    `seed`, `curvature` chooses H:

        "woodbury":   damping · I + mean of g gᵀ, inverted exactly by Woodbury's identity
        "published":  the recursion of the public code; it scales one vector by itself, so that H⁻¹ v is v plus a
                      multiple of the first gradient, whatever the others are. For comparison with published figures
        "none":       the identity: one ascent step

    All in evaluation mode, without augmentation, in float32. The gradients are held in memory, samples times weights.

    Attributes:
        strength: 2.0 is that of the LTD paper; the parser of the authors of this use has 0.2. Search it.
        samples: of retain examples, for the curvature.
        damping: of "woodbury".
        curvature: one of the three.

    Reference: Jia et al. 2023 (arXiv 2304.04934), after Koh and Liang 2017 (arXiv 1703.04730).
    """

    strength: float = 2.0
    samples: int = 1000
    damping: float = 1.0
    curvature: str = "woodbury"

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="with care", partial="no", whole="with care", cost="1 + samples / n"
    )
    training_defaults: ClassVar[Settings] = NO_TRAINING
    search_space: ClassVar[Settings] = space(strength=(0.2, 2.0, 20.0, 200.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.strength > 0, self, "strength", "positive")
        _check(self.samples >= 1, self, "samples", "at least 1 example")
        _check(self.damping > 0, self, "damping", "positive")
        _check(self.curvature in CURVATURES, self, "curvature", f"one of {CURVATURES}")
        self._step: dict[str, Tensor] = {}

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Find the step."""
        step = self.inverse_times(_pull(model, examples), self._single_gradients(model, examples))
        sizes = {name: p.numel() for name, p in model.named_parameters()}
        parts = zip(sizes, step.split(list(sizes.values())), strict=True)
        self._step = {name: part.view_as(model.get_parameter(name)) for name, part in parts}

    def edit(self, model: nn.Module) -> None:
        """Take the step."""
        if not self._step:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds the step.")
        for name, parameter in model.named_parameters():
            parameter.add_(self._step[name].to(parameter), alpha=self.strength)

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return the retain rows (m,), for training after the step, if there is any."""
        return examples.retain_rows

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,), where epochs are asked for."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")

    def inverse_times(self, v: Tensor, single: Tensor) -> Tensor:
        """Return H⁻¹ v (p,), for v (p,) and gradients of single examples (samples, p)."""
        if self.curvature == "none":
            return v
        if self.curvature == "published":
            return _published(v, single)
        inner = (single @ single.T).double()
        inner.diagonal().add_(self.damping * len(single))
        weights = torch.linalg.solve(inner, (single @ v).double()).to(v)
        return (v - single.T @ weights) / self.damping

    def _single_gradients(self, model: nn.Module, examples: ExampleDataset) -> Tensor:
        if self.curvature == "none":
            return torch.empty(0)
        retain = examples.retain_rows
        rows = retain[permutation(len(retain), seed=self.seed)[: self.samples]]
        size = 4 * sum(p.numel() for p in model.parameters())
        free = psutil.virtual_memory().available if examples.device.type == "cpu" else torch.cuda.mem_get_info()[0]
        if len(rows) * size > free:
            raise MethodError(
                f"Expected memory for {len(rows)} gradients of {size / 1e6:.0f} MB each, and {free / 1e9:.1f} GB are "
                f"free; give samples={max(1, int(0.8 * free / size))} or fewer."
            )
        found = gradients(model, examples, rows, F.cross_entropy, group=1)
        return torch.stack([_flat(gradient) for gradient in found])


def _pull(model: nn.Module, examples: ExampleDataset) -> Tensor:
    """Return v (p,)."""
    means = {}
    for part, rows in (("forget", examples.forget_rows), ("retain", examples.retain_rows)):
        sums = gradients(model, examples, rows, lambda f, y: F.cross_entropy(f, y, reduction="sum"), group=256)
        groups = -(-len(rows) // 256)
        means[part] = _flat(mean_over_groups(sums, lambda g: g)) * (groups / len(rows))
    share = len(examples.forget_rows) / len(examples.rows)
    return share * (means["forget"] - means["retain"])


def _published(v: Tensor, single: Tensor) -> Tensor:
    first, *others = single
    o, k = first.clone(), v.clone()
    for gradient in others:
        overlap = o @ gradient
        k -= (k @ gradient) / (len(single) + overlap) * o
        o -= overlap / (len(single) + overlap) * o
    return k


def _flat(gradient: dict[str, Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in gradient.values()])
