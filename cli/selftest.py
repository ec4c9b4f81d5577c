"""`unlearn-audit selftest`: models of known nature, put through the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import quiet


def run(pool: Annotated[Path | None, typer.Option(help="Folder of the pool. [default: in the cache]")] = None) -> None:
    """Audit models of known nature on digits.

    Honest retrained models must not fail; untrained ones and gradient ascent must. The exit code is 1 otherwise.
    """
    quiet()
    from rich.table import Table

    from unlearn_audit.calibration import selftest

    from .progress import TaskProgress
    from .tables import COLOURS, terminal

    with TaskProgress() as progress:
        found = selftest(folder=pool, progress=progress)
    table = Table("model", "expected", "outcome", "detectable ratio", "reason", box=None, pad_edge=False)
    for row in found.rows:
        detectable = "-" if row.detectable is None else f"{row.detectable:.2f}"
        outcome = f"[{COLOURS[row.outcome]}]{row.outcome}[/]" + ("" if row.behaves else " [bold red]wrong[/]")
        table.add_row(row.model, row.expected, outcome, detectable, row.reason)
    terminal().print(table)
    typer.echo(f"{'Passed' if found.passed else 'NOT passed'} in {found.seconds:.1f} s.")
    if not found.passed:
        raise typer.Exit(1)
