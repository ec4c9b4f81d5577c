"""The index names every example, and nothing else."""

from __future__ import annotations

import re

from tests.examples.conftest import EXAMPLES


def test_the_index_has_a_line_for_each_example() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = [
        path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name not in ("__init__.py", "README.md")
    ]
    found += [f"{path.name}/" for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"]
    pipeline = [f"deletion_pipeline/{path.name}" for path in (EXAMPLES / "deletion_pipeline").iterdir()]
    assert sorted(named) == sorted({*found, *pipeline} - {"deletion_pipeline/"})
