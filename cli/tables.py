"""The tables that end a run: ratios by stratum, accuracy, cost and verdict of each model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.populations import POPULATIONS, RETAIN

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import ModelRecord

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
SHOWN_STRATA = 6


def terminal() -> Console:
    """Return the terminal, or where the output is none, one wide enough for the table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def show_study(folder: Path, console: Console | None = None) -> None:
    """Print the report in `folder`."""
    show_report(AuditReport.load(folder), folder, console)


def show_report(report: AuditReport, folder: Path, console: Console | None = None) -> None:
    """Print a report: alarms, the table of all models, each verdict's reason, and where report.html is."""
    console = console or terminal()
    console.print()
    if report.controls:
        for alarm in report.controls.alarms:
            console.print(alarm, style="bold red", markup=False)
    console.print(model_table(report))
    console.print()
    for name, verdict in report.verdicts.items():
        console.print(f"[{COLOURS[verdict.outcome]}]{verdict.outcome:<12}[/] {name}: {verdict.reason}", soft_wrap=True)
    for note in report.controls.notes if report.controls else ():
        console.print(note, markup=False, soft_wrap=True)
    console.print()
    console.print(str(folder / "report.html"), style="bold", markup=False, soft_wrap=True)


def model_table(report: AuditReport) -> Table:
    """Return the table: discrepancy over noise floor by stratum of the retain set, accuracy, cost, verdict."""
    population = POPULATIONS[RETAIN]
    strata = shown_strata(len(report.strata))
    table = Table(
        title=f"{title_of(report)} over noise floor, {population} set, by nearness to the forget set",
        caption="1.0 is what another retrained model scores. Then accuracy in %, and cost of one retraining.",
        box=None,
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", overflow="fold")
    for index in strata:
        table.add_column(heading(index, len(report.strata)), justify="right", no_wrap=True)
    for name in ("retain", "forget", "test", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows(report, population, strata):
        table.add_row(*row)
    return table


def title_of(report: AuditReport) -> str:
    """Return the title of the policy's measure."""
    return next(measure.title for measure in report.measures if measure.name == report.policy.measure)


def shown_strata(count: int) -> list[int]:
    """Return which strata fit a terminal: all of a few, else the nearest and the farthest, spread between."""
    if count <= SHOWN_STRATA:
        return list(range(count))
    step = (count - 1) / (SHOWN_STRATA - 1)
    return [round(place * step) for place in range(SHOWN_STRATA)]


def heading(index: int, count: int) -> str:
    """Name a stratum in the table's head."""
    return {0: "near", count - 1: "far"}.get(index, str(index))


def rows(report: AuditReport, population: str, strata: Sequence[int]) -> Iterator[list[str]]:
    """Yield a row a candidate, a row an anchor, and one row of means for the retrained models."""
    for model in report.by_role("candidate", "original", "untrained"):
        yield row(report, [model], population, strata)
    references = report.by_role("reference")
    yield row(report, references, population, strata, name=f"{len(references)} retrained")


def row(
    report: AuditReport,
    models: Sequence[ModelRecord],
    population: str,
    strata: Sequence[int],
    *,
    name: str | None = None,
) -> list[str]:
    """Return the cells of one row: means over the models."""
    found = [report.comparison(model.name, population, report.policy.measure) for model in models]
    ratios = [[c.strata[index].ratio for c in found if c is not None] for index in strata]
    figures = [report.aggregate[model.name] for model in models]
    accuracies = [[getattr(f, f"{part}_accuracy") for f in figures] for part in ("retain", "forget", "test")]
    verdict = report.verdicts.get(models[0].name)
    outcome = verdict.outcome if verdict else ""
    return [
        name or models[0].name,
        *(mean(values, "{:.1f}") for values in ratios),
        *(mean([v and 100 * v for v in values], "{:.1f}") for values in accuracies),
        mean([model.seconds_share and 100 * model.seconds_share for model in models], "{:.0f} %"),
        f"[{COLOURS[outcome]}]{outcome}[/]" if outcome else "",
    ]


def mean(values: Sequence[float | None], form: str) -> str:
    """Write the mean of the values that are known; a dash where none is."""
    known = [value for value in values if value is not None]
    return form.format(fmean(known)) if known else "-"
