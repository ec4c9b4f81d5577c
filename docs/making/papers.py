"""The paper index: every paper that a docstring cites, and the files that use it.

Titles and authors are in `papers.yaml`; which file uses which paper is read from the docstrings.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDERS = ("unlearn_audit", "cli", "examples")
_ARXIV = re.compile(r"arXiv[: ]\s*(\d{4}\.\d{5})")
_NAMED = re.compile(r"\b((?:[A-Z][a-zé]+, )*[A-Z][a-zé]+(?: et al\.| and [A-Z][a-zé]+)?,? (?:19|20)\d\d)\b")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September")
INTRODUCTION = """# Papers

Every paper that the code rests on, and the files whose docstrings cite it. This page is made from those docstrings.
"""


@dataclass(frozen=True)
class Paper:
    """A paper; `cited` is how docstrings name it, for example "Fan et al. 2024"."""

    cited: str
    title: str
    authors: str
    where: str
    arxiv: str | None = None

    def is_cited_in(self, text: str) -> bool:
        """Tell whether a docstring cites the paper, by its arXiv id or by its authors and year."""
        return self.arxiv in _ARXIV.findall(text) or self.cited in citations(text)


def known_papers() -> list[Paper]:
    """Return the papers of `papers.yaml`, in its order."""
    return [Paper(**entry) for entry in yaml.safe_load((HERE / "papers.yaml").read_text(encoding="utf-8"))]


def citations(text: str) -> set[str]:
    """Return what a docstring cites by authors and year, as "Fan et al. 2024"."""
    found = {match.replace(",", "") if " et al" in match else match for match in _NAMED.findall(" ".join(text.split()))}
    return {name.replace("al., ", "al. ") for name in found if not name.startswith(_MONTHS)}


@functools.cache
def docstrings() -> Mapping[str, str]:
    """Return all docstrings of each module as one text, by the module's path from the root."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            texts = (ast.get_docstring(node) for node in nodes if isinstance(node, holders))
            found[path.relative_to(ROOT).as_posix()] = "\n\n".join(text for text in texts if text)
    return found


def users(paper: Paper) -> list[str]:
    """Return the paths of the files that cite a paper."""
    return [path for path, text in docstrings().items() if paper.is_cited_in(text)]


def unknown() -> dict[str, set[str]]:
    """Return what docstrings cite and `papers.yaml` lacks, by file."""
    papers = known_papers()
    ids, names = {paper.arxiv for paper in papers}, {paper.cited for paper in papers}
    found = {}
    for path, text in docstrings().items():
        missing = (set(_ARXIV.findall(text)) - ids) | (citations(text) - names)
        if missing:
            found[path] = missing
    return found


def page() -> str:
    """Return the page in Markdown; a citation that `papers.yaml` does not know raises `ValueError`."""
    missing = unknown()
    if missing:
        raise ValueError(f"Add title and authors to docs/making/papers.yaml for: {missing}")
    return "\n".join([INTRODUCTION, *(_section(paper) for paper in known_papers())])


def _section(paper: Paper) -> str:
    place = paper.where
    if paper.arxiv:
        place += f", arXiv [{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})"
    files = ", ".join(f"`{path}`" for path in users(paper))
    return f"**{paper.title}**  \n{paper.authors}. {place}.  \nUsed in {files}.\n"
