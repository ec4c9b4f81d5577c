"""Forgotten examples beside their copies that stay in the data, with pictures, for a person to judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from unlearn_audit.files import write_text
from unlearn_audit.reporting.pictures import ImageSource, Pictures
from unlearn_audit.reporting.templating import fragment

_MOST = 200  # pairs on the page
TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Copies of forgotten examples</title>
<meta name="generator" content="unlearn-audit">
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; } td, th { padding: .4rem 1rem .4rem 0; text-align: left; }
img { width: 96px; image-rendering: pixelated; }
</style>
<h1>Copies of forgotten examples</h1>
<p>{{ count }} examples that stay are the same image as a forgotten one, or nearly{{ cut }}. This file holds images of
the forget set: they may be personal data.</p>
<table><tr><th>forgotten</th><th></th><th>stays</th><th></th><th>cosine</th></tr>
{% for row in rows %}
<tr><td>{% if row[0] %}<img src="{{ row[0] }}" alt="">{% endif %}</td><td>{{ row[1] }}</td>
<td>{% if row[2] %}<img src="{{ row[2] }}" alt="">{% endif %}</td><td>{{ row[3] }}</td><td>{{ row[4] }}</td></tr>
{% endfor %}
</table></html>
"""


class Copy(Protocol):
    """A forgotten example and another one that is like it, by their ids; 1.0 means the same pixels."""

    @property
    def forgotten(self) -> str:
        """Id of the forgotten example."""

    @property
    def other(self) -> str:
        """Id of the one that stays."""

    @property
    def split(self) -> str:
        """Of the one that stays."""

    @property
    def similarity(self) -> float:
        """Cosine, at most 1."""


def write_copies(copies: Sequence[Copy], images: ImageSource, path: Path) -> Path:
    """Write the pairs as one HTML file, and return its path."""
    pictures = Pictures.of(images)
    rows = [
        (
            pictures.address(copy.forgotten),
            copy.forgotten,
            pictures.address(copy.other),
            f"{copy.other} ({copy.split})",
            "same pixels" if copy.similarity == 1 else f"{copy.similarity:.4f}",
        )
        for copy in copies[:_MOST]
    ]
    cut = f"; the first {_MOST} are shown" if len(copies) > _MOST else ""
    write_text(path, str(fragment(TEMPLATE, interactive=False, rows=rows, count=len(copies), cut=cut)))
    return path
