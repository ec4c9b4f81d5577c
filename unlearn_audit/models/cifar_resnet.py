"""CIFAR ResNets (He et al. 2015, arXiv 1512.03385, section 4.2), registered with timm.

`resnet8`, `resnet14`, `resnet20`, `resnet32`, `resnet44`, `resnet56` and `resnet110` have 6n + 2 layers: one 3 x 3
convolution, three stages of n basic blocks with 16, 32 and 64 channels on maps of 32, 16 and 8 pixels (for 32 x 32
input), global average pooling and one linear layer. Where a block halves the map, `shortcut="A"` (the default, the
paper's CIFAR form) subsamples and pads with zero channels, without parameters; `shortcut="B"` uses a 1 x 1 convolution.

Importing this module registers them, so that `timm.create_model("resnet20")` and a saved model's
`AutoModelForImageClassification.from_pretrained(folder)` find them.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import torch.nn.functional as F
from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

from unlearn_audit.errors import ModelError

DEPTHS = (8, 14, 20, 32, 44, 56, 110)
CIFAR_RESNETS = frozenset(f"resnet{depth}" for depth in DEPTHS)

default_cfgs = {
    f"resnet{depth}": {
        "input_size": (3, 32, 32),
        "fixed_input_size": False,
        "num_classes": 10,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "first_conv": "conv1",
        "classifier": "fc",
    }
    for depth in DEPTHS
}
__all__ = [*default_cfgs]


class PadShortcut(nn.Module):
    """Shortcut option A: every second pixel, and zeros for the channels that are new."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.new_channels = channels_out - channels_in

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels_out, ceil(h / 2), ceil(w / 2))."""
        before = self.new_channels // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.new_channels - before))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm, added to a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, shortcut: str):
        super().__init__()
        stride = 1 if channels_in == channels_out else 2
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = _shortcut(channels_in, channels_out, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels_in, h, w) to (n, channels_out, h', w')."""
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


def _shortcut(channels_in: int, channels_out: int, option: str) -> nn.Module:
    if channels_in == channels_out:
        return nn.Identity()
    if option == "A":
        return PadShortcut(channels_in, channels_out)
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, 2, bias=False), nn.BatchNorm2d(channels_out))


class CifarResNet(nn.Module):
    """A ResNet of `depth` = 6n + 2 layers in the CIFAR form, with the interface of a timm model."""

    def __init__(
        self,
        depth: int = 20,
        num_classes: int = 10,
        in_chans: int = 3,
        width: int = 16,
        shortcut: str = "A",
    ):
        super().__init__()
        if (depth - 2) % 6 or depth < 8:
            raise ModelError(f"Expected a depth of 6n + 2 (8, 14, 20, …), got {depth}.")
        if shortcut not in ("A", "B"):
            raise ModelError(f"Expected shortcut 'A' (zero padding) or 'B' (1 x 1 convolution), got {shortcut!r}.")
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = 4 * width
        self.conv1 = nn.Conv2d(in_chans, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layers = _stages((depth - 2) // 6, width, shortcut)
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.apply(_initialise)

    def get_classifier(self) -> nn.Module:
        """Return the linear layer that gives the logits."""
        return self.fc

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a fresh one for `num_classes` classes (none for 0)."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to maps (n, 4 · width, h / 4, w / 4)."""
        return self.layers(F.relu(self.bn1(self.conv1(x))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map feature maps to logits (n, c), or with `pre_logits` to embeddings (n, 4 · width)."""
        x = x.mean(dim=(2, 3))
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to logits (n, c)."""
        return self.forward_head(self.forward_features(x))


def _stages(blocks: int, width: int, shortcut: str) -> nn.Sequential:
    channels = [width] + [width * 2**stage for stage in range(3) for _ in range(blocks)]
    return nn.Sequential(*(BasicBlock(before, after, shortcut) for before, after in itertools.pairwise(channels)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.kaiming_normal_(module.weight)


def _create(depth: int, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build_model_with_cfg(CifarResNet, f"resnet{depth}", pretrained, depth=depth, **kwargs)


def _register(depth: int) -> None:
    create: Any = partial(_create, depth)
    create.__name__ = f"resnet{depth}"
    create.__module__ = __name__
    globals()[create.__name__] = register_model(create)


for _depth in DEPTHS:
    _register(_depth)
