"""What a model expects of its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlearn_audit.errors import ModelError

_ATTRIBUTE = "unlearn_audit_preprocessing"  # where a model carries its own


@dataclass(frozen=True)
class Preprocessing:
    """Normalisation by `mean` and `std` (a number a channel, in units of the [0, 1] range), at `size` (height, width).

    A model with one channel gets the luminance of the images (ITU-R 601-2, as PIL's "L").

    Images that have this size already are only normalised, a batch at a time, on their device. Others go one by one
    through the model's own image `processor`, which resizes and crops as the model was trained. So do all where it
    does anything else, such as turning RGB into BGR: then `is_plain` is False.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    processor: Any = field(default=None, repr=False, compare=False)
    is_plain: bool = field(default=True, repr=False)
    channels: int = field(default=3, repr=False)

    @classmethod
    def of(cls, model: Any) -> Preprocessing:
        """Read it from a model that `create_model` built or `load_model` loaded, or any timm model of transformers."""
        attached: Preprocessing | None = getattr(model, _ATTRIBUTE, None)
        if attached is not None:
            return attached
        if model.config.model_type == "timm_wrapper":
            return cls._from_timm(model)
        from transformers import AutoImageProcessor

        try:
            processor = AutoImageProcessor.from_pretrained(model.name_or_path, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"Expected an image processor beside the model {model.name_or_path!r}, found none ({error}). "
                "Save one there with its save_pretrained, or load the model with unlearn_audit's load_model."
            ) from error
        return cls.from_processor(processor, channels=getattr(model.config, "num_channels", 3))

    def attach(self, model: nn.Module) -> None:
        """Let `model` carry it, so that `of` finds it there."""
        setattr(model, _ATTRIBUTE, self)

    @classmethod
    def _from_timm(cls, model: Any) -> Preprocessing:
        from transformers import TimmWrapperImageProcessor

        config = model.config.pretrained_cfg or model.timm_model.pretrained_cfg
        processor = TimmWrapperImageProcessor(dict(config), architecture=model.config.architecture)
        return cls._from_data_config(processor)

    @classmethod
    def _from_data_config(cls, processor: Any) -> Preprocessing:
        data = processor.data_config
        channels, *size = data["input_size"]
        mean, std = (tuple(values) for values in (data["mean"], data["std"]))
        return cls(tuple(size), mean[:channels], std[:channels], processor, channels=channels)

    @classmethod
    def from_processor(cls, processor: Any, *, channels: int = 3) -> Preprocessing:
        """Read it from an image processor of transformers, for a model that takes 3 channels or 1."""
        if channels not in (1, 3):
            raise ModelError(
                f"Expected a model that takes images of 3 channels or of 1, got one that takes {channels}."
            )
        if getattr(processor, "data_config", None) is not None:
            return cls._from_data_config(processor)
        size = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
        height = size.get("height", size.get("shortest_edge"))
        width = size.get("width", size.get("shortest_edge"))
        if height is None:
            raise ModelError(
                f"Expected an image processor with a fixed size, got {type(processor).__name__} with size {dict(size)}."
            )
        normalises = getattr(processor, "do_normalize", False)
        mean, std = (processor.image_mean, processor.image_std) if normalises else ((0.0,) * 3, (1.0,) * 3)
        found = cls((height, width), tuple(mean[:channels]), tuple(std[:channels]), processor, channels=channels)
        return found if found._is_what_the_processor_does() else replace(found, is_plain=False)

    def _is_what_the_processor_does(self) -> bool:
        """Compare with the processor itself, on noise that is neither resized nor cropped."""
        noise = np.random.default_rng(0).integers(0, 256, (1, *self.size, 3), dtype=np.uint8)
        expected = self._process(torch.from_numpy(noise), do_resize=False, do_center_crop=False)
        return expected.shape[-2:] == self.size and torch.allclose(
            self._normalise(torch.from_numpy(noise)), expected, atol=1e-4
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Map uint8 (n, h, w, 3) to float32 (n, channels, height, width), in the memory layout channels_last."""
        if tuple(pixels.shape[1:3]) == self.size and self.is_plain:
            return self._normalise(pixels)
        if self.processor is None:
            raise ModelError(f"Expected images of {self.size} pixels, got {tuple(pixels.shape[1:3])}.")
        return self._process(pixels)

    def _normalise(self, pixels: Tensor) -> Tensor:
        std = torch.tensor(self.std, dtype=torch.float32, device=pixels.device)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=pixels.device)
        pixels = pixels if self.channels == 3 else _luminance(pixels)
        scaled = pixels.to(torch.float32).mul_(1 / (255 * std)).sub_(mean / std)  # (n, h, w, channels)
        return scaled.permute(0, 3, 1, 2)

    def _process(self, pixels: Tensor, **options: bool) -> Tensor:
        from PIL import Image

        images = [Image.fromarray(image) for image in np.asarray(pixels.cpu())]
        images = images if self.channels == 3 else [image.convert("L") for image in images]
        values = self.processor(images, return_tensors="pt", **options)["pixel_values"]
        return values.to(pixels.device).contiguous(memory_format=torch.channels_last)

    def to_metadata(self) -> str:
        """Describe it in one line, for the metadata of predictions."""
        return f"size={self.size} mean={self.mean} std={self.std}"


def image_processor(model: Any) -> Any:
    """Return the image processor that a model carries, for `Trainer(processing_class=…)`, which saves it with weights.

    None where it carries none, and for timm's models, whose configuration holds what their processor needs.
    """
    attached: Preprocessing | None = getattr(model, _ATTRIBUTE, None)
    return None if attached is None or model.config.model_type == "timm_wrapper" else attached.processor


def _luminance(pixels: Tensor) -> Tensor:
    """Map uint8 RGB (n, h, w, 3) to grey (n, h, w, 1), in PIL's integers."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32, device=pixels.device)
    return (((pixels.to(torch.int32) * weights).sum(dim=3, keepdim=True) + 0x8000) >> 16).to(torch.uint8)
