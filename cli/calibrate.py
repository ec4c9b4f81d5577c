"""`unlearn-audit calibrate`: how often are the answers right?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import limit_threads

from .completing import one_of
from .machine import tell
from .options import AuditSettings, model_files, quiet

if TYPE_CHECKING:
    from unlearn_audit.calibration import Pool
    from unlearn_audit.experiment.config import AuditConfig

    from .progress import TaskProgress


def run(
    pools: Annotated[
        list[str] | None,
        typer.Argument(
            help="Of digits, memorising, generalising. [default: all]",
            autocompletion=one_of("digits", "memorising", "generalising"),
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="Instead of pools: your own retrained models, at least 4."),
    ] = None,
    original: Annotated[Path | None, typer.Option(help="The original model, with --reference.")] = None,
    forget: Annotated[Path | None, typer.Option(help="Ids of the forget set, with --reference.")] = None,
    candidate: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]FILE", help="Further models, with --reference.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Random audits for each figure.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    build: Annotated[
        Path | None, typer.Option(help="Train the pools' models anew, in this folder; goes on where it was stopped.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder or Hub id of CIFAR-100, with --build.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with policy and neighbourhood, as in a study's.")] = None,
    settings: AuditSettings = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file for the tables.")] = None,
) -> None:
    """Measure how often the answers are right.

    Random audits are drawn from pools of models of known nature. The pools' predictions come with the package; --build
    trains the models again, an hour or more a pool on one core, and writes each pool as one file there. With
    --reference, --original and --forget the pool is your own: files of predictions, as `audit` takes them. --set takes
    policy.KEY and neighbourhood.KEY. The exit code is 1 where honest candidates fail more often than the policy's alpha
    explains.
    """
    limit_threads()
    quiet()
    from unlearn_audit.calibration import calibrate
    from unlearn_audit.calibration.tables import markdown
    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.files import write_text
    from unlearn_audit.folders import claim_file, claim_folder, says

    from .progress import TaskProgress

    _check_options(pools, reference, original, forget, candidate, build, data)
    chosen = read_audit(config, settings=settings or ())
    if build is not None:
        claim_folder(build, "pools")
    if output is not None:
        claim_file(output, lambda path: says(path, "Made by `unlearn-audit calibrate"))
    found = []
    with TaskProgress() as progress:
        if reference:
            drawn = _own_pool(reference, original, forget, candidate, chosen)
        else:
            drawn = _known_pools(pools, build, data, progress)
        for pool in drawn:
            found.append(calibrate(pool, policy=chosen.policy, draws=draws, seed=seed, progress=progress))
    page = markdown(found)
    if output is None:
        typer.echo(page)
    else:
        write_text(output, page)
        typer.echo(f"Wrote {output}.")
    tell(pools=[{"name": calibration.pool, "holds": calibration.holds} for calibration in found], file=output)
    for calibration in found:
        told = "yes" if calibration.holds else "NO"
        typer.echo(f"{calibration.pool}: honest candidates fail in at most a share alpha of audits: {told}.")
    if not all(calibration.holds for calibration in found):
        raise typer.Exit(1)


def _check_options(
    pools: list[str] | None,
    reference: list[str] | None,
    original: Path | None,
    forget: Path | None,
    candidate: list[str] | None,
    build: Path | None,
    data: str | None,
) -> None:
    if data is not None and build is None:
        raise ConfigurationError("Expected --data only with --build.")
    if reference:
        if pools or build:
            raise ConfigurationError("Expected either names of pools, or --reference for your own, got both.")
        if original is None or forget is None:
            raise ConfigurationError("Expected --original and --forget with --reference: they make the pool.")
    elif original or forget or candidate:
        raise ConfigurationError("Expected --original, --forget and --candidate only with --reference.")


def _own_pool(
    reference: list[str],
    original: Path | None,
    forget: Path | None,
    candidate: list[str] | None,
    chosen: AuditConfig,
) -> Iterator[Pool]:
    """Yield the pool of the person's own predictions."""
    from unlearn_audit.calibration import own_pool

    yield own_pool(
        {name: files.predictions[0] for name, files in model_files(reference).items()},
        original,
        forget,
        candidates={name: files.predictions for name, files in model_files(candidate or ()).items()},
        neighbourhood=chosen.neighbourhood,
        names=chosen.names,
    )


def _known_pools(
    pools: list[str] | None, build: Path | None, data: str | None, progress: TaskProgress
) -> Iterator[Pool]:
    """Yield the pools that come with the package, or those built anew."""
    from unlearn_audit.calibration import shipped_pool
    from unlearn_audit.calibration.building import build_pool
    from unlearn_audit.calibration.pool import SHIPPED

    for name in pools or SHIPPED:
        if build is None:
            yield shipped_pool(name)
        else:
            pool = build_pool(name, build, source=data if name != "digits" else None, progress=progress)
            pool.save(build / f"{name}.parquet")
            yield pool
