"""`unlearn-audit neighbourhoods`: the proximities and strata there are."""

from __future__ import annotations

from typing import Annotated

import typer


def run(name: Annotated[str | None, typer.Argument(help="Show one of them in full.")] = None) -> None:
    """List the proximities and strata with their options."""
    from unlearn_audit.proximities import registry

    from .plugins import show, show_options

    show(registry, name)
    if name is None:
        from unlearn_audit.strata import NeighbourhoodConfig

        show_options(NeighbourhoodConfig)
