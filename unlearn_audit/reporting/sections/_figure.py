"""A chart's text alternative, and the picture that is shown where no script runs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unlearn_audit.reporting import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Figure:
    """What the macro `canvas` places: the text alternative, and the picture as a data address."""

    text: str
    fallback: str


def figure(text: str, draw: Callable[[Axes], None], *, height: float = 3.6) -> Figure:
    """Draw the picture; `height` in inches, at a width of 7."""
    drawn = base64.b64encode(plots.svg_of(draw, height=height)).decode()
    return Figure(text, f"data:image/svg+xml;base64,{drawn}")
