"""Small pictures of examples as data addresses, so that a report holds them itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_audit.data.images import Images

LONGEST_SIDE = 96  # pixels; larger images are made smaller, to keep the report light


@dataclass(frozen=True, eq=False)
class Pictures:
    """Looks examples up by id in the splits that the caller gave; an unknown id has no picture."""

    splits: tuple[Images, ...]

    @cached_property
    def _places(self) -> dict[str, tuple[Images, int]]:
        return {str(i): (images, row) for images in self.splits for row, i in enumerate(images.ids)}

    def address(self, example_id: str) -> str | None:
        """Return the example's picture as `data:image/png;base64,…`."""
        if example_id not in self._places:
            return None
        from PIL import Image

        images, row = self._places[example_id]
        picture = Image.fromarray(images.pixels[row])
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
