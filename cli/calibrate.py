"""`unlearn-audit calibrate`: how often are the answers right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.errors import ConfigurationError

from .options import quiet


def run(
    pools: Annotated[
        list[str] | None, typer.Argument(help="Of digits, memorising, generalising. [default: all]")
    ] = None,
    draws: Annotated[int, typer.Option(help="Random audits for each figure.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    build: Annotated[
        Path | None, typer.Option(help="Train the pools' models anew, in this folder; goes on where it was stopped.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder or Hub id of CIFAR-100, with --build.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file for the tables.")] = None,
) -> None:
    """Measure how often the answers are right.

    Random audits are drawn from pools of models of known nature. The pools' predictions come with the package; --build
    trains the models again, which takes up to an hour a pool on one core, and writes each pool as one file there. The
    exit code is 1 where honest candidates fail more often than the policy's alpha explains.
    """
    quiet()
    from unlearn_audit.calibration import calibrate, shipped_pool
    from unlearn_audit.calibration.building import build_pool
    from unlearn_audit.calibration.pool import SHIPPED
    from unlearn_audit.calibration.tables import markdown
    from unlearn_audit.folders import claim_file, claim_folder, says

    from .progress import TaskProgress

    if data is not None and build is None:
        raise ConfigurationError("Expected --data only with --build.")
    if build is not None:
        claim_folder(build, "pools")
    if output is not None:
        claim_file(output, lambda path: says(path, "Made by `unlearn-audit calibrate"))
    found = []
    with TaskProgress() as progress:
        for name in pools or SHIPPED:
            if build is None:
                pool = shipped_pool(name)
            else:
                source = data if name != "digits" else None
                pool = build_pool(name, build, source=source, progress=progress)
                pool.save(build / f"{name}.parquet")
            found.append(calibrate(pool, draws=draws, seed=seed, progress=progress))
    page = markdown(found)
    if output is None:
        typer.echo(page)
    else:
        output.write_text(page, encoding="utf-8")
        typer.echo(f"Wrote {output}.")
    for calibration in found:
        told = "yes" if calibration.holds else "NO"
        typer.echo(f"{calibration.pool}: honest candidates fail in at most a share alpha of audits: {told}.")
    if not all(calibration.holds for calibration in found):
        raise typer.Exit(1)
