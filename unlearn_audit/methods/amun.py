"""AMUN: forget examples give way to their nearest adversarial neighbours, with what the original says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._attack import PixelUnits, pgd_l2
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["Amun"]

_AT_ONCE = 256


@dataclass(eq=False, kw_only=True)
class Amun(UnlearningCallback):
    """AMUN: cross-entropy on retain examples, and on an adversarial neighbour of each forget example in its place.

    The neighbour is the first image that the original calls something else, by PGD-L2 with a radius that doubles from
    `radius` up to `largest_radius`; its label is what the original calls it. Images that the original gets wrong stay
    as they are. This is the variant without the true labels of forget examples ("advonly"), which the LTD paper runs.
    Radii are in pixels of [0, 1], whatever the model's normalisation; neighbours are kept in float32, since a change of
    this size is less than a grey level, and are not augmented.

    Attributes:
        radius: of the first ball.
        largest_radius: of the last; a forget example with no neighbour in it keeps its pixels and its label.
        attack_steps: gradient steps a ball.

    Reference: Ebrahimpour-Boroojeny et al. 2025 (arXiv 2503.00917).
    """

    retain_share: float = 1.0
    radius: float = 0.01
    largest_radius: float = 5.0
    attack_steps: int = 50

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain",
        random="yes",
        partial="yes",
        whole="with care",
        cost="E n_r / n, and 35 to 130 n_f / n for the attack",
    )
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=0.01, weight_decay=5e-4, batch_size=128)
    search_space: ClassVar[Settings] = space(rates=(1e-4, 1e-1), epochs=(1, 3, 10))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.radius > 0, self, "radius", "positive, in pixels of [0, 1]")
        _check(self.largest_radius >= self.radius, self, "largest_radius", "at least `radius`")
        _check(self.attack_steps >= 1, self, "attack_steps", "at least 1")
        self._neighbours: tuple[Tensor, Tensor, Tensor] | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Attack the original on every forget example."""
        original, plain = frozen(model, examples), examples.without_augmentation()
        rows = examples.forget_rows
        views, labels = zip(
            *(self.neighbours(original, plain.batch(part)) for part in rows.split(_AT_ONCE)), strict=True
        )
        place = torch.full((len(examples.images),), -1, device=examples.device)
        place[rows.to(place.device)] = torch.arange(len(rows), device=place.device)
        self._neighbours = place, torch.cat(views), torch.cat(labels)

    def neighbours(self, original: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the adversarial views (n, 3, h, w), normalised, and what the original calls them (n,)."""
        units, labels = PixelUnits.of(original, batch["labels"].device), batch["labels"]
        start = units.pixels(batch["pixel_values"])
        pixels, radius = start.clone(), self.radius
        called = _called(original, units.views(pixels))
        while (left := called == labels).any() and radius <= self.largest_radius:
            radii = torch.full((int(left.sum()),), radius, device=labels.device)
            pixels[left] = pgd_l2(original, units, start[left], labels[left], radii, steps=self.attack_steps)
            called, radius = _called(original, units.views(pixels)), 2 * radius
        return torch.where((called == labels)[:, None, None, None], batch["pixel_values"], units.views(pixels)), called

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put the neighbours in place of the forget examples."""
        if self._neighbours is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds the neighbours.")
        (place, views, called), forget = self._neighbours, is_forget(batch)
        pixels, labels, found = batch["pixel_values"].clone(), batch["labels"].clone(), place[batch["index"][forget]]
        pixels[forget], labels[forget] = views[found].to(pixels.dtype), called[found]
        return {**batch, "pixel_values": pixels, "labels": labels}

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,)."""
        return F.cross_entropy(logits, batch["labels"], reduction="none")


@torch.no_grad()
def _called(model: nn.Module, views: Tensor) -> Tensor:
    called: Tensor = model(pixel_values=views).logits.argmax(dim=1)
    return called
