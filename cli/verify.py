"""`unlearn-audit verify`: does a report still say what its inputs say?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import quiet


def run(folder: Annotated[str, typer.Argument(help="A report's folder, or hub:user/name.")]) -> None:
    """Check a report against its inputs.

    Every hash is checked and every figure computed again; a difference is named, and the exit code is 1.
    """
    quiet()
    from unlearn_audit.saved.verify import verify

    found = verify(_local(folder))
    for sentence in found.not_checked:
        typer.echo(sentence)
    found.raise_if_different()
    typer.echo(f"{found.files} files and {found.figures} figures agree.")


def _local(folder: str) -> Path:
    if not folder.startswith("hub:"):
        return Path(folder)
    from unlearn_audit.publishing.hub import AUDIT_FOLDER, pull

    return pull(folder) / AUDIT_FOLDER
