"""Resizes and crops images as a model's own image processor does, once, when they are decoded.

What is left for each batch is to scale and normalise, so a model sees exactly the pixels that it would see in
production, and mixed sizes become one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from unlearn_audit.errors import DataError

Fit = Callable[[Image.Image], Any]
_LEFT_OUT = ("do_rescale", "do_normalize", "do_flip_channel_order")  # steps that models take a batch at a time


def fit_of(source: str) -> tuple[Fit, str]:
    """Return what resizes and crops one image (to an image, or uint8 of (h, w, 3)), and a key of how it does it.

    Args:
        source: folder or Hub id of an image processor, or of a model beside which one lies.

    Raises:
        DataError: where there is none.
    """
    from transformers import AutoImageProcessor

    try:
        processor: Any = AutoImageProcessor.from_pretrained(source.removeprefix("hf://"), trust_remote_code=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"Expected an image processor, or a model with one, got {source!r}: {str(error).splitlines()[0]}"
        ) from error
    key = json.dumps(processor.to_dict(), sort_keys=True, default=str)
    if getattr(processor, "data_config", None) is not None:
        return _timm_fit(processor), key
    options = {name: False for name in _LEFT_OUT if hasattr(processor, name)}

    def fit(image: Image.Image) -> np.ndarray:
        values = processor(image, return_tensors="np", **options)["pixel_values"][0]  # (3, h, w)
        return np.ascontiguousarray(np.rint(values).clip(0, 255).astype(np.uint8).transpose(1, 2, 0))

    return fit, key


def _timm_fit(processor: Any) -> Fit:
    """Return timm's own resizing and cropping: its steps up to the one that makes tensors."""
    steps = []
    for step in processor.val_transforms.transforms:
        if "ToTensor" in type(step).__name__:
            break
        steps.append(step)

    def fit(image: Image.Image) -> Image.Image:
        for step in steps:
            image = step(image)
        return image

    return fit
