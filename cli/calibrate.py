"""`unlearn-audit calibrate`: does a verdict hold its error rate?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import quiet


def run(
    retrained: Annotated[int, typer.Option(help="Retrained models in the pool.")] = 48,
    others: Annotated[int, typer.Option(help="Models of each other kind.")] = 6,
    draws: Annotated[int, typer.Option(help="Random audits for each figure.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    pool: Annotated[Path | None, typer.Option(help="Folder of the pool. [default: in the cache]")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file for the tables.")] = None,
) -> None:
    """Measure how often verdicts are wrong.

    A pool of models is trained on digits once and cached; then audits are drawn from it at random. The exit code is 1
    where honest candidates fail more often than the policy's alpha.
    """
    quiet()
    from unlearn_audit.calibration import PoolSize, calibrate

    from .progress import TaskProgress

    with TaskProgress() as progress:
        found = calibrate(
            size=PoolSize(retrained=retrained, others=others),
            draws=draws,
            folder=pool,
            output=output,
            progress=progress,
            seed=seed,
        )
    if output is not None:
        typer.echo(f"Wrote {output}.")
    typer.echo(
        f"Honest candidates fail in at most a share {found.policy.alpha:g} of audits: {'yes' if found.holds else 'NO'}."
    )
    if not found.holds:
        raise typer.Exit(1)
