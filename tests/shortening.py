"""Docs and examples with fewer epochs, where a test asks whether they run and not how well their models do."""

from __future__ import annotations

import re

_EPOCHS = re.compile(r"(epochs\s*[:=]\s*)(\d+)")


def shortened(code: str, epochs: int = 1) -> str:
    """Let each training in a text of Python, YAML or a shell last this many epochs at most: `epochs=8`, `epochs: 8`."""
    return _EPOCHS.sub(lambda match: f"{match[1]}{min(int(match[2]), epochs)}", code)
