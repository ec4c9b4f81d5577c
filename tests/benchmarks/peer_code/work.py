"""What every tool works on: the images, the forget set and the models, from a folder that any environment can read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

EPOCHS = 3  # SUPREME's random labels always take three
BATCH = 128  # and this batch
CLASSES = 10
FORGOTTEN = 0  # the first half of this class is the forget set, as the paper's code chooses it
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
RATE = 0.01


@dataclass(frozen=True)
class Work:
    """Arrays, and the folder that they and the weights of the models lie in.

    Attributes:
        folder: with `images.npz`, and weights in `original.npz` and `retrained-0.npz`, `retrained-1.npz`, …
        train: (n, 32, 32, 3) uint8.
        train_labels: (n,) from 0.
        test: (m, 32, 32, 3) uint8.
        test_labels: (m,) from 0.
        forget: rows of `train`.
    """

    folder: Path
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    forget: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> Work:
        """Read what `save` wrote."""
        with np.load(folder / "images.npz") as arrays:
            return cls(folder, **arrays)

    def save(self) -> None:
        """Write the arrays."""
        arrays = {name: value for name, value in vars(self).items() if name != "folder"}
        np.savez(self.folder / "images.npz", **arrays)

    @property
    def retain(self) -> np.ndarray:
        """The rows of `train` that are not in the forget set."""
        return np.setdiff1d(np.arange(len(self.train)), self.forget)

    def random_labels(self) -> np.ndarray:
        """Return the labels of `train`, with random ones in the forget set."""
        labels = self.train_labels.copy()
        labels[self.forget] = np.random.default_rng(0).integers(0, CLASSES, len(self.forget))
        return labels

    def network(self, name: str) -> Network:
        """Return a model with the weights in `name`.npz."""
        network = Network()
        with np.load(self.folder / f"{name}.npz") as weights:
            network.load_state_dict({key: torch.from_numpy(weights[key]) for key in weights})
        return network


class Block(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm, and a shortcut that subsamples and pads with zeros."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.new, stride = channels_out - channels_in, 1 if channels_in == channels_out else 2
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.new // 2, self.new // 2)) if self.new else x
        return F.relu(out + shortcut)


class Network(nn.Module):
    """The layers and the names of weights of this package's `resnet20`, for environments that do not have it."""

    def __init__(self):
        super().__init__()
        channels = [16] * 4 + [32] * 3 + [64] * 3
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layers = nn.Sequential(*(Block(before, after) for before, after in itertools.pairwise(channels)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, CLASSES)

    # The paper's code looks for the parts of a ResNet by these names.
    layer1 = property(lambda self: self.layers[:3])
    layer2 = property(lambda self: self.layers[3:6])
    layer3 = property(lambda self: self.layers[6:])

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (n, 3, 32, 32) to logits (n, 10)."""
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class Pictures(Dataset):
    """Images as torchvision's data sets give them: a picture of PIL, through ToTensor and Normalize, and its label."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, *, repeat_label: bool = False):
        from torchvision import transforms

        self.pixels, self.targets, self.repeat_label = pixels, labels.tolist(), repeat_label
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Any, ...]:
        from PIL import Image

        image, label = self.transform(Image.fromarray(self.pixels[row])), self.targets[row]
        return (image, label, label) if self.repeat_label else (image, label)


def tensors(pixels: np.ndarray) -> Tensor:
    """Return uint8 (n, 32, 32, 3) as normalised float32 (n, 3, 32, 32)."""
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (scaled - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
