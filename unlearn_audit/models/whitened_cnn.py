"""`cnn8`: eight layers that learn small photographs in few epochs, after airbench94 (Jordan 2024, arXiv 2404.00498).

A frozen 2 x 2 convolution, three blocks of two 3 x 3 convolutions that start near the identity, and one linear layer.
It differs from airbench94 in what would spoil or complicate an audit: the first layer whitens photographs in general,
not the training images, whose statistics would tell a retrained model of the forget set; and weights are not averaged.

Importing this module registers it with timm.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

from unlearn_audit.errors import ModelError

PATCH = 2  # height and width of the patches that are whitened, in pixels
LEAST_SIZE = 16  # height and width of an image, in pixels, of which three halvings leave something
_COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))  # luminance, red to blue, green to magenta
_CHANGES = ((1.0, 1.0), (1.0, -1.0))  # along one side of a patch: none, and from one pixel to the next
# Variances of photographs along these, in round numbers, where a channel has about 1: neighbours are alike.
_OF_COLOURS, _OF_CHANGES = (3.0, 0.4, 0.07), ((3.8, 0.1), (0.1, 0.01))
_SCALE = 1 / 9  # of the logits, as in airbench94

default_cfgs = {
    "cnn8": {
        "input_size": (3, 32, 32),
        "fixed_input_size": False,
        "num_classes": 10,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "classifier": "fc",
    }
}
__all__ = ["cnn8", "whitening_filters"]


def whitening_filters() -> Tensor:
    """Return filters (24, 3, 2, 2) that whiten patches of photographs, and their negatives.

    Adjacent pixels and the three channels of photographs are alike, so that a cosine transform of each patch, over
    space and over colour, nearly uncorrelates them; each is divided by its standard deviation.
    """
    colours, changes = (_unit(torch.tensor(rows)) for rows in (_COLOURS, _CHANGES))
    variances = torch.tensor(_OF_COLOURS)[:, None, None] * torch.tensor(_OF_CHANGES)
    directions = torch.einsum("ki,uy,vx->kuviyx", colours, changes, changes)
    filters = (directions / variances.sqrt()[..., None, None, None]).flatten(0, 2)
    return torch.cat([filters, -filters])


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


class WhitenedCNN(nn.Module):
    """A frozen whitening layer, and blocks of two convolutions with BatchNorm and ReLU, each halving the map."""

    def __init__(self, num_classes: int = 10, in_chans: int = 3, channels: Sequence[int] = (32, 128, 256)):
        super().__init__()
        if in_chans != 3:
            raise ModelError(f"Expected images of 3 channels, which cnn8 whitens together, got {in_chans}.")
        filters = whitening_filters()
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = channels[-1]
        self.whitening = _with_weight(nn.Conv2d(in_chans, len(filters), PATCH), filters)
        self.blocks = nn.Sequential(*(_block(*pair) for pair in itertools.pairwise((len(filters), *channels))))
        self.fc = nn.Linear(self.num_features, num_classes, bias=False)
        for module in self.modules():
            setattr(module, "_is_hf_initialized", True)  # noqa: B010  # else transformers draws all weights again, with deviation 0.02

    def get_classifier(self) -> nn.Module:
        """Return the linear layer that gives the logits."""
        return self.fc

    def forward_features(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to maps (n, channels, about h / 8, w / 8).

        Raises:
            ModelError: where they are smaller than 16 x 16.
        """
        if min(x.shape[2:]) < LEAST_SIZE:
            raise ModelError(
                f"Expected images of at least {LEAST_SIZE} x {LEAST_SIZE} pixels, got {tuple(x.shape[2:])}: cnn8 "
                "halves them three times. Take another model, such as resnet8, or give image_size."
            )
        return self.blocks(torch.relu(self.whitening(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map feature maps to logits (n, c), or with `pre_logits` to embeddings (n, channels)."""
        x = x.amax(dim=(2, 3)) * _SCALE
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to logits (n, c)."""
        return self.forward_head(self.forward_features(x))


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        _near_identity(channels_in, channels_out),
        nn.MaxPool2d(2),
        _shift_only(channels_out),
        nn.ReLU(),
        _near_identity(channels_out, channels_out),
        _shift_only(channels_out),
        nn.ReLU(),
    )


def _near_identity(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution whose first channels hand on what comes in."""
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:channels_in])
    return convolution


def _shift_only(channels: int) -> nn.Module:
    """Return a BatchNorm that learns a shift and no scale."""
    return _with_weight(nn.BatchNorm2d(channels), torch.ones(channels))


def _with_weight(layer: nn.Module, weight: Tensor) -> nn.Module:
    """Return a layer with this weight, as a buffer: it is saved with the model, and nothing ever trains it."""
    del layer.weight
    layer.register_buffer("weight", weight)
    return layer


@register_model
def cnn8(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build the eight-layer CNN."""
    return build_model_with_cfg(WhitenedCNN, "cnn8", pretrained, **kwargs)
