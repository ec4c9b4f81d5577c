"""Boundary Shrink: each forget example gets the class across its nearest boundary."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._attack import PixelUnits
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd
from unlearn_audit.methods.base import UnlearningCallback, _check, is_forget

__all__ = ["BoundaryShrink"]


@dataclass(eq=False, kw_only=True)
class BoundaryShrink(UnlearningCallback):
    """Boundary Shrink: cross-entropy of a forget example to what the original says of x + radius · sign ∇ₓ CE.

    The step is in pixels of [0, 1], whatever the model's normalisation, and stays among possible pixels. The student
    sees x itself, in the same view. Retain examples (`retain_share`; theirs uses none) learn their labels. Where the
    step crosses no boundary the label stays; a warning says how often, of views without augmentation. Made for whole
    classes: a model retrained without some examples of a class still names it on most of them, and this one does not.

    Attributes:
        radius: of the step, in pixels.

    Reference: Chen et al. 2023 (arXiv 2303.11570).
    """

    radius: float = 0.1

    scope: ClassVar[Scope] = Scope(needs="forget", random="no", partial="no", whole="yes", cost="2.3 E n_f / n")
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=1e-4, batch_size=64)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.radius > 0, self, "radius", "positive, in pixels of [0, 1]")
        self._original: nn.Module | None = None

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Keep a frozen copy of the original, and count where it cannot be led across a boundary."""
        self._original = frozen(model, examples)
        plain, rows = examples.without_augmentation(), examples.forget_rows
        batches = [plain.batch(part) for part in rows.split(256)]
        stay = sum(int((self.targets(b["pixel_values"], b["labels"]) == b["labels"]).sum()) for b in batches)
        if stay:
            warnings.warn(
                f"Boundary Shrink: {stay} of {len(rows)} forget examples keep their label; no step of {self.radius:g} "
                "crosses a boundary. A larger radius may.",
                stacklevel=2,
            )

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Return the cross-entropy (n,) to the class across the boundary, of retain examples to their labels."""
        forget, labels = is_forget(batch), batch["labels"].clone()
        if forget.any():
            labels[forget] = self.targets(batch["pixel_values"][forget], labels[forget])
        return F.cross_entropy(logits, labels, reduction="none")

    def targets(self, views: Tensor, labels: Tensor) -> Tensor:
        """Return what the original says (f,) a step away from these views (f, 3, h, w)."""
        if self._original is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the original.")
        units = PixelUnits.of(self._original, views.device)
        pixels = units.pixels(views.float())
        with torch.enable_grad():
            pixels.requires_grad_(True)
            loss = F.cross_entropy(
                self._original(pixel_values=units.views(pixels)).logits.float(), labels, reduction="sum"
            )
            (gradient,) = torch.autograd.grad(loss, pixels)
        with torch.no_grad():
            stepped = (pixels + self.radius * gradient.sign()).clamp(0, 1)
            said: Tensor = self._original(pixel_values=units.views(stepped)).logits.argmax(dim=1)
        return said
