"""Which weights of a model are convolutions, and new ones in the place of old."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolutions(model: nn.Module) -> list[str]:
    """Return the names of the weights of all two-dimensional convolutions, in the order of the model."""
    return [f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]


def draw_anew(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Return new weights of the same shape: Kaiming normal for ReLU, by fan out."""
    drawn = torch.empty(weight.shape)
    nn.init.kaiming_normal_(drawn, mode="fan_out", nonlinearity="relu", generator=generator)
    return drawn.to(weight)
