"""UNSIR: noise that the original is most wrong on takes the place of the forget set; then retain examples repair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw
from unlearn_audit.data.steps import Step, paired, shuffled
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, adamw, space
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["Unsir"]

_NOISE = 11  # stream of random draws
_PENALTY = 0.1


@dataclass(eq=False, kw_only=True)
class Unsir(UnlearningCallback):
    """UNSIR: an epoch of noise with the labels to be forgotten beside retain examples, then repair on these.

    For each forgotten class `noises` images of noise are made that maximise the frozen original's cross-entropy, less
    0.1 times the mean of their squared norms, by Adam. In the first epoch (impair) they stand for the forget examples,
    whose own pixels the model never sees; in the next ones (repair, at half the rate) retain examples learn their
    labels. Made for whole classes: the label is taken from every example, also from those that are kept, so that a
    class of which some are kept is refused unless `partial` says that this is meant.

    Attributes:
        noises: images of noise a class.
        noise_steps: of Adam.
        noise_learning_rate: of Adam, on views as the model takes them.
        noise_share: share of noise in a step of the first epoch.
        partial: whether part of a class may be forgotten.

    Reference: Tarun et al. 2021 (arXiv 2111.08947). The rates are those of the public code of SSD's authors, 1e-4;
    theirs, 0.02 and 0.01, are for a model of their own.
    """

    retain_share: float = 1.0
    noises: int = 64
    noise_steps: int = 40
    noise_learning_rate: float = 0.1
    noise_share: float = 0.35
    partial: bool = False

    phase_rates: ClassVar[Mapping[str, float]] = MappingProxyType({"repair": 0.5})
    scope: ClassVar[Scope] = Scope(needs="retain", random="no", partial="no", whole="yes", cost="2.5 n_r / n")
    training_defaults: ClassVar[Settings] = adamw(epochs=2, learning_rate=1e-4)
    search_space: ClassVar[Settings] = space(rates=(1e-5, 1e-2), epochs=(2,))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.noises >= 1, self, "noises", "at least 1 image")
        _check(self.noise_steps >= 1, self, "noise_steps", "at least 1")
        _check(self.noise_learning_rate > 0, self, "noise_learning_rate", "positive")
        _check(0 < self.noise_share < 1, self, "noise_share", "a share in (0, 1)")
        _check(self.retain_share > 0, self, "retain_share", "a share in (0, 1]")
        self._noise: dict[int, Tensor] = {}

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Make the noise of each forgotten class."""
        labels = torch.as_tensor(examples.images.labels)
        classes = labels[examples.forget_rows].unique().tolist()
        kept = sorted(set(classes) & set(labels[examples.retain_rows].tolist()))
        if kept and not self.partial:
            names = ", ".join(repr(examples.images.class_names[k]) for k in kept[:5])
            raise MethodError(
                f"Expected whole classes to be forgotten, and of {names} some examples are kept: UNSIR takes the class "
                "from these too. Choose another method, or partial=True to see what it does."
            )
        original = frozen(model, examples)
        like = examples.batch(examples.forget_rows[:1])["pixel_values"]
        self._noise = {k: self.noise(original, k, like) for k in classes}

    def noise(self, original: nn.Module, label: int, like: Tensor) -> Tensor:
        """Return noise (noises, 3, h, w) that the original is most wrong on; `like` (1, 3, h, w) is a view."""
        generator = torch.Generator().manual_seed((self.seed << 16) + label)
        start = torch.randn((self.noises, *like.shape[1:]), generator=generator)
        with torch.enable_grad():
            noise = start.to(like).requires_grad_(True)
            adam = torch.optim.Adam([noise], lr=self.noise_learning_rate)
            labels = torch.full((self.noises,), label, device=noise.device)
            for _ in range(self.noise_steps):
                logits = original(pixel_values=noise).logits.float()
                loss = -F.cross_entropy(logits, labels) + _PENALTY * noise.square().sum(dim=(1, 2, 3)).mean()
                (noise.grad,) = torch.autograd.grad(loss, noise)
                adam.step()
        return noise.detach()

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Return the steps that impair, in the first epoch, and those that repair."""
        draws = {"seed": self.seed, "epoch": epoch}
        if epoch:
            return shuffled("repair", examples.retain_rows, size, **draws)
        share = max(1, round(self.noise_share * size))
        sizes = share, max(1, size - share)
        return paired("impair", examples.forget_rows, examples.retain_rows, sizes, **draws)

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put noise of their class in the place of the forget examples."""
        if not self._noise:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which makes the noise.")
        pixels, forget = batch["pixel_values"].clone(), is_forget(batch)
        which = draw(batch["index"], self.noises, seed=self.seed, epoch=self.step.epoch, stream=_NOISE)
        for row in forget.nonzero()[:, 0].tolist():
            pixels[row] = self._noise[int(batch["labels"][row])][which[row]].to(pixels)
        return {**batch, "pixel_values": pixels}

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,)."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")
