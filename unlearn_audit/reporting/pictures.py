"""Small pictures of examples as data addresses, so that a report holds them itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

LONGEST_SIDE = 96  # pixels; larger images are made smaller, to keep the report light
LOSSLESS_SIDE = 48  # pixels; larger pictures are photographs, which JPEG holds in a fifth of what PNG takes


class Images(Protocol):
    """What is needed of a data set's training or test images: ids (n,) and RGB pixels (n, h, w, 3) uint8."""

    @property
    def ids(self) -> np.ndarray:
        """Example ids, (n,) str."""
        ...

    @property
    def pixels(self) -> np.ndarray:
        """RGB pixels, (n, h, w, 3) uint8."""
        ...


class ImageSource(Protocol):
    """What is needed of a data set: its training and test images."""

    @property
    def train(self) -> Images:
        """The training images."""
        ...

    @property
    def test(self) -> Images:
        """The test images."""
        ...


@dataclass(frozen=True, eq=False)
class Pictures:
    """Looks examples up by id in the images given; an unknown id has no picture."""

    images: tuple[Images, ...]

    @classmethod
    def of(cls, source: ImageSource) -> Pictures:
        """Return the pictures of all training and test images."""
        return cls((source.train, source.test))

    @cached_property
    def _places(self) -> dict[str, tuple[Images, int]]:
        return {str(i): (images, row) for images in self.images for row, i in enumerate(images.ids)}

    def address(self, example_id: str) -> str | None:
        """Return the example's picture as a data address: PNG, or JPEG where it is large."""
        if example_id not in self._places:
            return None
        from PIL import Image

        images, row = self._places[example_id]
        picture = Image.fromarray(images.pixels[row])
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        buffer = io.BytesIO()
        kind = "PNG" if max(picture.size) <= LOSSLESS_SIDE else "JPEG"
        picture.save(buffer, format=kind, optimize=True, quality=85)
        return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
