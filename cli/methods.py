"""`unlearn-audit methods`: the unlearning methods there are."""

from __future__ import annotations

from typing import Annotated

import typer

from .completing import names_of


def run(
    name: Annotated[
        str | None, typer.Argument(help="Show one of them in full.", autocompletion=names_of("methods"))
    ] = None,
) -> None:
    """List the unlearning methods with their options."""
    from unlearn_audit.methods import registry

    from .plugins import show

    show(name, registry)
