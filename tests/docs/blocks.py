"""The code blocks of a page, and what the page says of each.

- A block with a title, as in ```` ```python title="models.py" ````, is a file: it is written, not run.
- A block whose first line is `# Not run in the tests: REASON.` is not run; its `unlearn-audit` options must exist.
- A block that is a script of `examples/` is not run again: `tests/examples` runs it.
- All other blocks in python, bash or console are run, in the order of the page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ("python", "bash", "console", "sh", "shell")
REASONS = ("needs the Hub", "needs a GPU", "takes minutes", "takes hours")
_FENCE = re.compile(r'^```(\w*)(?: +title="([^"]+)")?[^\n]*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"# Not run in the tests: (.+)\.")


@dataclass(frozen=True)
class Block:
    """One block; `place` is the page and the line of its first line of code."""

    place: str
    language: str
    title: str | None
    code: str

    @property
    def why_not(self) -> str | None:
        """The reason for which the page says that the block is not run, or None."""
        match = _NOT_RUN.fullmatch(self.code.split("\n", 1)[0])
        return match.group(1) if match else None

    @property
    def is_run(self) -> bool:
        """Whether the block is run."""
        return self.language in RUN and self.title is None and self.why_not is None and not self.is_example

    @property
    def is_example(self) -> bool:
        """Whether the block is a whole script of `examples/`, but for the docstring at its top."""
        scripts = (path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py"))
        return any(self.code and script.endswith('"""\n\n' + self.code) for script in scripts)


def pages() -> dict[str, Path]:
    """Return every page by its path from the root: the README and all Markdown below `docs/`."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path for path in found}


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = pages()[page].read_text(encoding="utf-8")
    return [
        Block(f"{page}:{text.count(chr(10), 0, match.start()) + 2}", *match.groups()) for match in _FENCE.finditer(text)
    ]


def commands_of(code: str) -> list[str]:
    """Return the commands of a shell block, a line each; continued lines are joined, comments stay."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
