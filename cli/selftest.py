"""`unlearn-audit selftest`: models of known nature, put through the three questions."""

from __future__ import annotations

import typer

from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import quiet


def run() -> None:
    """Judge models of known nature, in seconds.

    Their predictions come with the package. Honest retrained models must not fail, an untouched original must, and no
    candidate made to deceive may pass. The exit code is 1 otherwise.
    """
    limit_threads()
    quiet()
    from rich.table import Table

    from unlearn_audit.calibration.selftest import run_selftest

    from .progress import TaskProgress
    from .tables import COLOURS, terminal

    with TaskProgress() as progress:
        found = run_selftest(progress=progress)
    tell(passed=found.passed, seconds=found.seconds, rows=found.rows)
    table = Table("model", "expected", "outcome", "reason", box=None, pad_edge=False)
    for row in found.rows:
        outcome = f"[{COLOURS[row.outcome]}]{row.outcome}[/]" + ("" if row.behaves else " [bold red]wrong[/]")
        table.add_row(row.model, row.expected, outcome, row.reason)
    terminal().print(table)
    typer.echo(f"{'Passed' if found.passed else 'NOT passed'} in {found.seconds:.1f} s.")
    if not found.passed:
        raise typer.Exit(1)
