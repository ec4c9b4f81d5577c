"""Adversarial examples on a frozen model, in units of pixels: distances and bounds hold for images in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.models.preprocessing import Preprocessing


@dataclass(frozen=True)
class PixelUnits:
    """Converts between pixels in [0, 1] and what a model takes, normalised by `mean` and `std`, each (1, 3, 1, 1)."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, model: nn.Module, device: torch.device) -> PixelUnits:
        """Read them from the model's preprocessing."""
        prepare = Preprocessing.of(model)
        return cls(*(torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (prepare.mean, prepare.std)))

    def pixels(self, views: Tensor) -> Tensor:
        """Map what a model takes (n, 3, h, w) to pixels."""
        return views * self.std + self.mean

    def views(self, pixels: Tensor) -> Tensor:
        """Map pixels (n, 3, h, w) to what a model takes."""
        return (pixels - self.mean) / self.std


def pgd_l2(
    model: nn.Module, units: PixelUnits, pixels: Tensor, labels: Tensor, radius: Tensor, *, steps: int
) -> Tensor:
    """Return adversarial pixels (n, 3, h, w) by projected gradient ascent on the cross-entropy.

    Each of the `steps` goes a tenth of the radius along the normalised gradient, back into the ball and into [0, 1].
    An image stays as it is once the model says another class than its label (Madry et al. 2018, arXiv 1706.06083).

    Args:
        model: frozen, in evaluation mode; its weights get no gradients.
        units: of the model.
        pixels: (n, 3, h, w) in [0, 1].
        labels: (n,) what the model must not say.
        radius: (n,) of the L2 balls, in pixels.
        steps: at most.
    """
    found = pixels.clone()
    for _ in range(steps):
        inputs = found.detach().requires_grad_(True)
        logits = model(pixel_values=units.views(inputs)).logits.float()
        open_ = logits.argmax(dim=1) == labels
        if not open_.any():
            break
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), inputs)
        moved = _within(found + _per_image(radius / 10) * gradient / _norm(gradient), pixels, radius)
        found = torch.where(_per_image(open_), moved, found)
    return found


def _within(found: Tensor, centre: Tensor, radius: Tensor) -> Tensor:
    offset = found - centre
    return (centre + offset * (_per_image(radius) / _norm(offset)).clamp(max=1)).clamp(0, 1)


def _norm(images: Tensor) -> Tensor:
    return _per_image(images.flatten(1).norm(dim=1).clamp_min(1e-12))


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
