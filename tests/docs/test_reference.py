"""The reference is whole: every public name, command and cited paper is in it."""

from __future__ import annotations

import importlib
import re
import sys

import pytest
from typer.main import get_command
from unlearn_audit.cli.main import app

import unlearn_audit
from tests.docs.blocks import ROOT
from unlearn_audit import reporting

sys.path.insert(0, str(ROOT / "docs" / "making"))
commands, papers, plugins = (importlib.import_module(name) for name in ("commands", "papers", "plugins"))
sys.path.pop(0)

PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")}
DOCUMENTED = [line for text in PAGES.values() for line in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]


def documented() -> list[object]:
    objects = []
    for path in DOCUMENTED:
        module, _, name = path.rpartition(".")
        if path != "unlearn_audit.errors":
            objects.append(getattr(importlib.import_module(module), name))
    return objects


@pytest.mark.parametrize("package", [unlearn_audit, reporting], ids=lambda package: package.__name__)
def test_every_public_name_is_documented(package) -> None:
    found = documented()
    missing = [name for name in package.__all__ if not any(getattr(package, name) is item for item in found)]
    assert not missing


def test_every_public_name_is_on_the_first_page() -> None:
    assert [name for name in unlearn_audit.__all__ if f"`{name}`" not in PAGES["index.md"]] == []


@pytest.mark.parametrize("kind", ["methods", "measures", "proximities", "strata"])
def test_every_plug_in_is_documented(kind: str) -> None:
    page = plugins.expanded(
        PAGES[{"proximities": "neighbourhoods", "strata": "neighbourhoods"}.get(kind, kind) + ".md"]
    )
    registry = importlib.import_module(f"unlearn_audit.{kind}").registry
    assert all(f"## {name}" in page or f"| `{name}` |" in page for name in registry.names())


def test_every_command_is_documented_with_its_help() -> None:
    page = commands.page()
    for name in get_command(app).commands:
        assert f"## {name}\n\n```text\nUsage: unlearn-audit {name} " in page


def test_every_cited_paper_is_known_and_every_known_paper_is_cited() -> None:
    assert papers.unknown() == {}
    assert [paper.cited for paper in papers.known_papers() if not papers.users(paper)] == []


def test_citations_are_found_across_lines_and_in_every_form() -> None:
    text = "As LiRA (Carlini et al. 2022,\n arXiv 2112.03570), Song and\nMittal 2021, Lin 1991; in May 2026."
    assert papers.citations(text) == {"Carlini et al. 2022", "Song and Mittal 2021", "Lin 1991"}
