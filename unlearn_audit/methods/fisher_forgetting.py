"""Fisher forgetting: noise on the weights that matter least to the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import permutation
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._importance import gradients, mean_over_groups
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import NO_TRAINING, Settings, space
from unlearn_audit.methods.base import UnlearningCallback, _check, _of_process_0
from unlearn_audit.models.loading import classifier

__all__ = ["FisherForgetting"]


@dataclass(eq=False, kw_only=True)
class FisherForgetting(UnlearningCallback):
    """Fisher forgetting: θ ← θ + √variance · N(0, 1), without training.

    F = E_x Σ_k p_k (∂CE(x, k) / ∂θ)² is the Fisher information's diagonal over `samples` random retain examples, one at
    a time. variance = strength · min(1 / (F + 1e-8), 1000), at most 100 in the classifier; it is averaged over the
    inputs of each output of a layer, and 10 times as large in the classifier and in parameters of one dimension. Where
    whole classes are forgotten, their rows of the classifier become noise of the variance 1e-4 around 0.

    `exact=False` draws one label of each example from p instead of summing over all classes, which is a class-th of the
    cost, with more noise in F.

    Attributes:
        strength: α.
        samples: retain examples that F is a mean over; the authors take all.
        exact: whether all classes are summed over.

    Reference: Golatkar et al. 2020 (arXiv 1911.04933).
    """

    strength: float = 1e-6
    samples: int = 1000
    exact: bool = False

    scope: ClassVar[Scope] = Scope(
        needs="retain", random="with care", partial="with care", whole="with care", cost="samples / n (times classes)"
    )
    training_defaults: ClassVar[Settings] = NO_TRAINING
    search_space: ClassVar[Settings] = space(strength=(1e-9, 1e-8, 1e-7, 1e-6))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.strength > 0, self, "strength", "positive")
        _check(self.samples >= 1, self, "samples", "at least 1 example")
        self._variance: dict[str, Tensor] = {}
        self._dropped: list[int] = []

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Find the variance of each weight, and the classes of which nothing is kept."""
        retain, labels = examples.retain_rows, torch.as_tensor(examples.images.labels)
        kept = set(labels[retain].tolist())
        self._dropped = sorted({int(y) for y in labels[examples.forget_rows]} - kept)
        rows = retain[permutation(len(retain), seed=self.seed)[: self.samples]]
        last = _names_of(model, classifier(model))
        found = {name: self.variance(f, name in last) for name, f in self._fisher(model, examples, rows).items()}
        self._variance = _of_process_0(found)

    def variance(self, fisher: Tensor, is_last: bool) -> Tensor:
        """Return the variance of the noise on a parameter, of its shape; `is_last`: it belongs to the classifier."""
        found = self.strength * (1 / (fisher + 1e-8)).clamp(max=1e2 if is_last else 1e3)
        if found.dim() > 1:
            found = found.flatten(1).mean(dim=1).view(-1, *[1] * (found.dim() - 1)).expand_as(found).clone()
        return 10 * found if is_last or found.dim() == 1 else found

    def edit(self, model: nn.Module) -> None:
        """Add the noise."""
        if not self._variance:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds the variances.")
        generator = torch.Generator().manual_seed(self.seed)
        last = _names_of(model, classifier(model))
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            variance = self._variance[name].to(parameter).clone()
            if name in last and self._dropped:
                variance[self._dropped] = 1e-4
                parameter[self._dropped] = 0
            parameter.add_(variance.sqrt() * noise)

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return the retain rows (m,), for training afterwards, if there is any."""
        return examples.retain_rows

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,), where epochs are asked for."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")

    def _fisher(self, model: nn.Module, examples: ExampleDataset, rows: Tensor) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.seed)

        def drawn(logits: Tensor, labels: Tensor) -> Tensor:
            p = logits.detach().softmax(dim=1).cpu()
            return F.cross_entropy(logits, torch.multinomial(p, 1, generator=generator)[:, 0].to(labels))

        if not self.exact:
            return mean_over_groups(gradients(model, examples, rows, drawn, group=1), torch.square)

        def weighted(k: int) -> dict[str, Tensor]:
            """Squares of √p_k ∂CE(·, k), p_k held."""

            def loss(logits: Tensor, labels: Tensor) -> Tensor:
                share = logits.detach().softmax(dim=1)[:, k].sqrt()
                return (share * F.cross_entropy(logits, torch.full_like(labels, k), reduction="none")).sum()

            return mean_over_groups(gradients(model, examples, rows, loss, group=1), torch.square)

        total = weighted(0)
        for k in range(1, len(examples.images.class_names)):
            for name, value in weighted(k).items():
                total[name] += value
        return total


def _names_of(model: nn.Module, module: nn.Module) -> set[str]:
    mine = {id(p) for p in module.parameters()}
    return {name for name, p in model.named_parameters() if id(p) in mine}
