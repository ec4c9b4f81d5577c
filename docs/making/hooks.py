"""What MkDocs calls while it builds the site: the pages that are made from the code, and links out of `docs/`."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import commands
import papers
import plugins
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
REPOSITORY = "repository"  # folder of the site for files of the repository that pages link to
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
_OUTWARD = re.compile(r"\]\(((?:\.\./)+)([^)#\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and every file of the repository that a page links to."""
    generated = {
        "reference/commands.md": commands.page(),
        "reference/papers.md": papers.page(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    linked = {path for file in files.documentation_pages() for path in outward_links(file.content_string)}
    for path in sorted(linked - PAGES.keys()):
        name = f"{REPOSITORY}/{path}"
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    for name, content in generated.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links out of `docs/` to copies in the site, and put plug-ins where a page asks for them."""
    here = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        path = match.group(2)
        if not (ROOT / path).is_file():
            return match.group(0)  # MkDocs reports it
        return f"]({posixpath.relpath(PAGES.get(path, f'{REPOSITORY}/{path}'), here or '.')})"

    return _OUTWARD.sub(inside, plugins.expanded(markdown))


def outward_links(markdown: str) -> set[str]:
    """Return the files of the repository, outside `docs/`, that a page links to, by their paths from the root."""
    return {path for _, path in _OUTWARD.findall(markdown) if (ROOT / path).is_file()}
