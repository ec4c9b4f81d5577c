"""`unlearn-audit measures`: the pointwise measures there are."""

from __future__ import annotations

from typing import Annotated

import typer

from .completing import names_of


def run(
    name: Annotated[
        str | None, typer.Argument(help="Show one of them in full.", autocompletion=names_of("measures"))
    ] = None,
) -> None:
    """List the pointwise measures with their options."""
    from unlearn_audit.measures import registry

    from .plugins import show

    show(name, registry)
