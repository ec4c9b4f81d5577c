"""Tiny data and models for tests: 8 x 8 images of four classes that a small model learns in seconds."""

from __future__ import annotations

import numpy as np
from torch import nn

from unlearn_audit.data import ForgetSet, Images
from unlearn_audit.models import create_model

CLASSES = 4


def tiny_images(n: int = 64, *, split: str = "train", seed: int = 0, size: int = 8) -> Images:
    """Each class is bright in its own quarter, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    pixels = rng.integers(0, 120, (n, size, size, 3))
    half = size // 2
    for i, label in enumerate(labels):
        row, column = divmod(int(label), 2)
        pixels[i, row * half : (row + 1) * half, column * half : (column + 1) * half] += 120
    return Images(
        name="tiny",
        split=split,
        ids=np.array([f"{split}-{i}" for i in range(n)]),
        pixels=pixels.astype(np.uint8),
        labels=labels.astype(np.int64),
        class_names=tuple("abcd"),
    )


def tiny_forget(images: Images) -> ForgetSet:
    """Half of class 1."""
    return ForgetSet.by_class(images, 1, fraction=0.5, seed=0)


def tiny_resnet(images: Images, *, seed: int = 0) -> nn.Module:
    """A ResNet-8 of width 4, with BatchNorm."""
    return create_model("resnet8", images, seed=seed, width=4)


def tiny_vit(images: Images, *, seed: int = 0) -> nn.Module:
    """A ViT of one block, without BatchNorm."""
    return create_model("vit_tiny_patch4", images, seed=seed, embed_dim=12, depth=1, num_heads=2)
