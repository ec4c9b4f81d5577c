"""`unlearn-audit neighbourhoods`: the proximities and kinds of strata there are."""

from __future__ import annotations

from typing import Annotated

import typer

from .completing import names_of


def run(
    name: Annotated[
        str | None,
        typer.Argument(help="Show one of them in full.", autocompletion=names_of("proximities", "strata")),
    ] = None,
) -> None:
    """List the proximities and kinds of strata."""
    from unlearn_audit.proximities import registry as proximities
    from unlearn_audit.strata import registry as strata

    from .plugins import show, show_options

    show(name, proximities, strata)
    if name is None:
        from unlearn_audit.neighbourhood import NeighbourhoodConfig

        show_options(NeighbourhoodConfig)
