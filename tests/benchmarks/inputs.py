"""What the cases work on: CIFAR-100 where UNLEARN_AUDIT_CIFAR100 names its folder, else made-up images of its shape."""

from __future__ import annotations

import io
import os
from functools import cache
from typing import Any

import numpy as np
from torch import nn
from transformers import logging

from unlearn_audit.data import Images, load_images
from unlearn_audit.models import create_model

IMAGES = 1024  # of each case: enough for a stable rate, few enough for ten minutes in all


@cache
def images() -> Images:
    """Return the first training images of CIFAR-100, or made-up ones, decoded in memory."""
    folder = os.environ.get("UNLEARN_AUDIT_CIFAR100")
    if folder:
        found = load_images(folder).train.select(slice(IMAGES))
        return Images(found.name, "train", found.ids, np.array(found.pixels), found.labels, found.class_names)
    rng = np.random.default_rng(0)
    return Images(
        name="generated",
        split="train",
        ids=np.array([f"train-{i}" for i in range(IMAGES)]),
        pixels=rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8),
        labels=rng.integers(0, 100, IMAGES),
        class_names=tuple(f"class {i}" for i in range(100)),
    )


@cache
def encoded() -> Any:
    """Return the same images as a `datasets.Dataset` of PNG files, which decodes them at each use."""
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as Picture

    def png(pixels: np.ndarray) -> dict[str, Any]:
        file = io.BytesIO()
        Picture.fromarray(pixels).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    columns = {"image": [png(pixels) for pixels in images().pixels], "label": images().labels.tolist()}
    features = Features({"image": Image(), "label": ClassLabel(names=list(images().class_names))})
    return Dataset.from_dict(columns, features=features)


def model(name: str = "resnet20", seed: int = 0) -> nn.Module:
    """Return an untrained model for the images."""
    logging.set_verbosity_error()
    return create_model(name, images(), seed=seed)
