"""`unlearn-audit benchmark`: judge a method by retrained models that others have made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import Settings, model_files

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.calibration.benchmark import Benchmark


def run(
    benchmark: Annotated[
        str | None,
        typer.Argument(help="digits, memorising or generalising, a folder, or hf://datasets/USER/NAME[@REVISION]."),
    ] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="An unlearned model's predictions. Repeat a NAME for its seeds."),
    ] = None,
    references: Annotated[
        int | None, typer.Option(help="How many of the retrained models to use, the first ones. [default: all]")
    ] = None,
    from_report: Annotated[
        Path | None, typer.Option("--from-report", help="Make a benchmark of the models of this audit, in --output.")
    ] = None,
    settings: Settings = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the report, or for a benchmark that is made.")
    ] = None,
) -> None:
    """Audit by retrained models that exist already, in seconds.

    Without --candidate it lists what comes with the package, or shows one benchmark; with --output it writes it there,
    in the layout of a data set on the Hub. With --candidate it audits: the report is that of `audit`, and a row for a
    table of methods is printed. The model must be unlearned from an original that was trained as the benchmark's were.
    --from-report makes a benchmark from an audit whose files are all there; its forget set is in it by its ids.
    --set takes policy.KEY.
    """
    limit_threads()
    from unlearn_audit.remote.sources import fetched_dataset

    if from_report is not None:
        _make(from_report, benchmark, candidate, output)
    elif benchmark is None:
        _list(candidate, output)
    elif candidate:
        _audit(str(fetched_dataset(benchmark)), candidate, references, settings, output or Path("report"))
    else:
        _show(str(fetched_dataset(benchmark)), output)


def _list(candidate: list[str] | None, output: Path | None) -> None:
    from rich.table import Table

    from unlearn_audit.calibration.pool import HONEST, SHIPPED, shipped_pool
    from unlearn_audit.populations import FORGET

    from .tables import terminal

    if candidate or output:
        raise ConfigurationError("Expected the name of a benchmark first; `unlearn-audit benchmark` alone lists them.")
    table = Table("benchmark", "data", "forgotten", "examples", "retrained", box=None, pad_edge=False)
    found = []
    for name in SHIPPED:
        pool = shipped_pool(name)
        forgotten = int((pool.population == FORGET).sum())
        what = f"half of {pool.recipe['forgotten']!r}, {forgotten}"
        table.add_row(name, pool.recipe["source"], what, f"{len(pool.labels):,}", str(len(pool.logits[HONEST])))
        found.append({"name": name, "data": pool.recipe["source"], "forgotten": forgotten})
    tell(benchmarks=found)
    terminal().print(table)


def _show(name: str, output: Path | None) -> None:
    import tempfile

    from unlearn_audit.calibration.benchmark import Benchmark, written_from_pool
    from unlearn_audit.calibration.pool import SHIPPED, shipped_pool

    if output is not None:
        if name not in SHIPPED:
            raise ConfigurationError(f"Only those that come with the package are written to a folder, got {name!r}.")
        made = written_from_pool(shipped_pool(name), output)
        tell(folder=output, benchmark=made.about)
        typer.echo(f"Wrote {output}. To publish it: hf upload --repo-type dataset USER/NAME {output}")
        return
    with tempfile.TemporaryDirectory() as folder:
        about = Benchmark.find(name, folder).about
    tell(benchmark=about)
    typer.echo(
        f"{about.title}\n{about.examples:,} examples, {about.forgotten:,} of them forgotten; "
        f"{about.retrained} retrained models, {about.originals} originals."
    )
    for key, value in about.made.items():
        if value:
            typer.echo(f"  {key}: {value}")
    typer.echo(f"unlearn-audit benchmark {name} --candidate NAME=predictions.parquet")


def _make(report: Path, name: str | None, candidate: list[str] | None, output: Path | None) -> None:
    from unlearn_audit.calibration.benchmark import written_from_report

    if candidate or output is None:
        raise ConfigurationError("Expected --output and no --candidate with --from-report, which makes a benchmark.")
    made = written_from_report(report, output, name=name or output.name)
    tell(folder=output, benchmark=made.about)
    typer.echo(
        f"Wrote {output}: {made.about.retrained} retrained models and {made.about.originals} originals on "
        f"{made.about.examples:,} examples.\nIt names the {made.about.forgotten:,} forgotten examples: publish it only "
        f"if they are nobody's secret.\nTo publish it: hf upload --repo-type dataset USER/NAME {output}"
    )


def _audit(source: str, candidate: list[str], references: int | None, settings: Settings, output: Path) -> None:
    from unlearn_audit.calibration.benchmark import Benchmark
    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.folders import claim_folder
    from unlearn_audit.names import checked_name
    from unlearn_audit.reporting.folder import render_folder
    from unlearn_audit.saved.running import REPORT, run_audit, save_audit

    from .progress import TaskProgress
    from .tables import show_report

    policy = read_audit(None, settings=settings or ()).policy
    for name in model_files(candidate):
        checked_name(name, "a model")
    claim_folder(output, REPORT)
    found = Benchmark.find(source, output / "benchmark")
    candidates = {
        name: found.own_examples(files, output / "candidates" / name) for name, files in model_files(candidate).items()
    }
    request = found.request(candidates, references=references, policy=policy)
    with TaskProgress() as progress:
        audit = run_audit(request, progress=progress)
    save_audit(audit, request, output)
    render_folder(output)
    show_report(audit.report, output)
    rows = [row_of(found, audit.report, name) for name in request.candidates]
    tell(rows=rows)
    typer.echo("\n".join(["", *_markdown(rows)]))


def row_of(benchmark: Benchmark, report: AuditReport, name: str) -> dict[str, str | int | float | None]:
    """Return a method's row of a table of methods: its answers, and what it left of confidence and discrepancy."""
    judgement, figures = report.judgements.get(name), report.aggregate[name]
    answers = (
        {}
        if judgement is None
        else {a.question: a.outcome + (f": {a.how}" if a.how else "") for a in judgement.answers}
    )
    findings = [f for a in judgement.answers for f in a.findings] if judgement else []
    level = next((f.difference for f in findings if (f.group, f.kind) == ("forget", "level")), None)
    comparison = report.comparison(name, "retain", report.policy.measure)
    return {
        "benchmark": benchmark.about.name,
        "method": name,
        "references": report.num_references,
        **{question: answers.get(question) for question in ("forgotten", "neighbours", "rest")},
        "level": level,
        "nearest": comparison.strata[0].ratio if comparison else None,
        "test_accuracy": figures.test_accuracy,
    }


def _markdown(rows: list[dict[str, str | int | float | None]]) -> list[str]:
    from unlearn_audit.reporting.tables import escape_markdown

    def shown(value: str | float | None) -> str:
        return "" if value is None else f"{value:.3g}" if isinstance(value, float) else escape_markdown(str(value))

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([shown(value) for value in row.values()] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
