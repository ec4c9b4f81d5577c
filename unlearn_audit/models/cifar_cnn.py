"""`cnn3`: three convolutions of 32, 64 and 128 channels, a small teacher (arXiv 2605.31317), registered with timm."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, register_model
from torch import Tensor, nn

default_cfgs = {
    "cnn3": {
        "input_size": (3, 32, 32),
        "fixed_input_size": False,
        "num_classes": 10,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "first_conv": "layers.0",
        "classifier": "fc",
    }
}
__all__ = ["cnn3"]


class SmallCNN(nn.Module):
    """Three 3 x 3 convolutions with BatchNorm and ReLU, halving the map after the first two, pooled, and one layer."""

    def __init__(self, num_classes: int = 10, in_chans: int = 3, channels: tuple[int, ...] = (32, 64, 128)):
        super().__init__()
        self.num_classes = num_classes
        self.num_features = self.head_hidden_size = channels[-1]
        blocks: list[nn.Module] = []
        for before, after in zip((in_chans, *channels), channels, strict=False):
            stride = 1 if before == in_chans else 2
            blocks += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*blocks)
        self.fc = nn.Linear(self.num_features, num_classes)

    def get_classifier(self) -> nn.Module:
        """Return the linear layer that gives the logits."""
        return self.fc

    def forward_features(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to maps (n, 128, h / 4, w / 4)."""
        return self.layers(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map feature maps to logits (n, c), or with `pre_logits` to embeddings (n, 128)."""
        x = x.mean(dim=(2, 3))
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to logits (n, c)."""
        return self.forward_head(self.forward_features(x))


@register_model
def cnn3(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build the three-layer CNN."""
    return build_model_with_cfg(SmallCNN, "cnn3", pretrained, **kwargs)
