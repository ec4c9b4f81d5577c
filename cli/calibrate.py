"""`unlearn-audit calibrate`: does a verdict hold its error rate?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError

from .audit import model_files, one_model
from .options import Settings, quiet

if TYPE_CHECKING:
    from unlearn_audit.saved.request import AuditRequest

Files = list[str] | None


def run(
    retrained: Annotated[int, typer.Option(help="Retrained models in the pool.")] = 48,
    others: Annotated[int, typer.Option(help="Models of each other kind.")] = 6,
    draws: Annotated[
        int | None,
        typer.Option(help="Random audits for each figure; of saved predictions, at most. [default: 10000; 1000]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    pool: Annotated[Path | None, typer.Option(help="Folder of the pool. [default: in the cache]")] = None,
    report: Annotated[Path | None, typer.Option(help="A report's folder: the models that it audited.")] = None,
    reference: Annotated[
        Files, typer.Option(metavar="[NAME=]FILE", help="A saved retrained model; with --report, a further one.")
    ] = None,
    candidate: Annotated[Files, typer.Option(metavar="[NAME=]FILE", help="A saved model of another kind.")] = None,
    forget: Annotated[Path | None, typer.Option(help="Ids of the forget set of saved models.")] = None,
    original: Annotated[Path | None, typer.Option(help="The saved original; its embeddings are the space.")] = None,
    proximities: Annotated[Path | None, typer.Option(help="File with example_id and proximity instead.")] = None,
    settings: Settings = None,
    title: Annotated[str | None, typer.Option(help="Of the page on saved models.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file for the tables.")] = None,
) -> None:
    """Measure how often verdicts are wrong.

    A pool of models is trained on digits once and cached; then audits are drawn from it at random. Given saved
    predictions of at least four retrained models, of a --report or as --reference FILEs with --forget, all audits that
    these allow are tabled instead; --set takes policy.KEY and neighbourhood.KEY. The exit code is 1 where honest
    candidates fail more often than the policy's alpha explains.
    """
    quiet()
    if report or reference:
        request, base = _request(report, reference, candidate, forget, original, proximities, settings)
        holds = _saved(request, base, draws or 1000, seed, title, output)
    elif candidate or forget or original or proximities or settings or title:
        raise ConfigurationError("Expected --report or --reference FILEs with these options, got neither.")
    else:
        holds = _digits(retrained, others, draws or 10_000, seed, pool, output)
    if not holds:
        raise typer.Exit(1)


def _digits(retrained: int, others: int, draws: int, seed: int, pool: Path | None, output: Path | None) -> bool:
    from unlearn_audit.calibration import PoolSize, calibrate

    from .progress import TaskProgress

    size = PoolSize(retrained=retrained, others=others)
    with TaskProgress() as progress:
        found = calibrate(size=size, draws=draws, folder=pool, output=output, progress=progress, seed=seed)
    if output is not None:
        typer.echo(f"Wrote {output}.")
    typer.echo(
        f"Honest candidates fail in at most a share {found.policy.alpha:g} of audits: {'yes' if found.holds else 'NO'}."
    )
    return found.holds


def _saved(request: AuditRequest, base: Path, limit: int, seed: int, title: str | None, output: Path | None) -> bool:
    from unlearn_audit.calibration import calibrate_saved
    from unlearn_audit.calibration.split_tables import split_markdown

    from .progress import TaskProgress

    with TaskProgress() as progress:
        found = calibrate_saved(request, base=base, limit=limit, progress=progress, seed=seed)
    page = split_markdown(found, title=title or request.title, command=shlex.join(["unlearn-audit", *sys.argv[1:]]))
    if output is None:
        typer.echo(page)
    else:
        output.write_text(page, encoding="utf-8")
        typer.echo(f"Wrote {output}.")
    return not found.contradicts


def _request(
    report: Path | None,
    reference: Files,
    candidate: Files,
    forget: Path | None,
    original: Path | None,
    proximities: Path | None,
    settings: list[str] | None,
) -> tuple[AuditRequest, Path]:
    """Return what to audit, and the folder that its relative paths are from."""
    import dataclasses

    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.saved.manifest import read_manifest
    from unlearn_audit.saved.request import AuditRequest

    references, candidates = model_files(_absolute(reference)), model_files(_absolute(candidate))
    if report is not None:
        if forget or original or proximities or settings:
            raise ConfigurationError("Expected --report alone to give the forget set and the settings, got others too.")
        request = read_manifest(report).request
        references, candidates = {**request.references, **references}, {**request.candidates, **candidates}
        return dataclasses.replace(request, references=references, candidates=candidates), report
    if forget is None:
        raise ConfigurationError("Expected --forget with the ids of the forget set, got none.")
    chosen = read_audit(None, settings=settings or ())
    request = AuditRequest(
        candidates=candidates,
        references=references,
        forget=str(forget),
        original=one_model(original),
        proximities=None if proximities is None else str(proximities),
        neighbourhood=chosen.neighbourhood,
        policy=chosen.policy,
        title=chosen.title,
    )
    return request, Path()


def _absolute(named: Files) -> list[str]:
    """Make the files of NAME=FILE independent of the folder that paths are from."""
    pairs = [item.rpartition("=") for item in named or ()]
    return [f"{name}{equals}{Path(path).resolve()}" for name, equals, path in pairs]
