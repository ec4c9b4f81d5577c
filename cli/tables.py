"""What ends a run: a table of all models with their three answers, and below it what fails and what is not settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unlearn_audit.auditing.briefly import brief
from unlearn_audit.auditing.groups import QUESTIONS
from unlearn_audit.auditing.policy import FirstPolicy
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.populations import POPULATIONS, RETAIN

from .machine import tell

if TYPE_CHECKING:
    from unlearn_audit.auditing.judgement import Judgement
    from unlearn_audit.auditing.questions import Answer
    from unlearn_audit.auditing.report import ModelRecord

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
CAPTION = "1.0 is what another retrained model scores. forget: accuracy on the forget set in %."
ANSWERS = "\nIs it forgotten, and are its neighbours and the rest unharmed? ?: not settled."
SHOWN_STRATA = 5
WIDTH = 100  # columns that everything but names and paths fits in


def terminal() -> Console:
    """Return the terminal, or where the output is none, one wide enough for the table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def show_study(folder: Path, console: Console | None = None) -> None:
    """Print the report in `folder`."""
    show_report(AuditReport.load(folder), folder, console)


def show_report(report: AuditReport, folder: Path, console: Console | None = None) -> None:
    """Print a report: alarms, the table of all models, what fails or is open, and where report.html is."""
    tell(report=folder / "report.html", **findings_of(report))
    console = console or terminal()
    console.print()
    if report.controls:
        for alarm in report.controls.alarms:
            console.print(alarm, style="bold red", markup=False)
    population = POPULATIONS[RETAIN]
    console.print(
        f"{title_of(report)} over noise floor, {population} set, by nearness to the forget set", style="italic"
    )
    console.print(fitting_table(report, population, console))
    console.print(CAPTION + (ANSWERS if report.judgements else ""), style="dim")
    console.print()
    for line in summary(report):
        console.print(line, soft_wrap=console.width >= WIDTH)
    for note in report.controls.notes if report.controls else ():
        console.print(note, markup=False)
    if isinstance(report.policy, FirstPolicy):
        console.print("Judged by the first version of the verdict: audit again for the three answers.", markup=False)
    console.print()
    console.print(str(folder / "report.html"), style="bold", markup=False, soft_wrap=True)


def findings_of(report: AuditReport) -> dict[str, Any]:
    """Return what a program needs of a report: alarms, K, and each candidate's verdict with its three answers."""
    return {
        "alarms": report.controls.alarms if report.controls else (),
        "num_references": report.num_references,
        "models": [
            {
                "name": name,
                "outcome": verdict.outcome,
                "withheld": verdict.withheld,
                "reason": verdict.reason,
                "references_needed": verdict.references_needed,
                "answers": _answers_of(report.judgements.get(name)),
            }
            for name, verdict in ((name, report.verdicts[name]) for name in worst_first(report))
        ],
    }


def _answers_of(judgement: Judgement | None) -> dict[str, dict[str, str]]:
    """Return each question's outcome, how it fails, and a sentence."""
    if judgement is None or judgement.withheld:
        return {}
    pairs = zip(judgement.answers, judgement.sentences, strict=True)
    return {answer.question: {"outcome": answer.outcome, "how": answer.how, "sentence": told} for answer, told in pairs}


def summary(report: AuditReport) -> Iterator[str]:
    """Yield each candidate's verdict, the worst first, and below it a line for each question that fails or is open."""
    policy = report.policy
    unit = next(measure.unit for measure in report.measures if measure.name == policy.measure)
    for name in worst_first(report):
        verdict, judgement = report.verdicts[name], report.judgements.get(name)
        outcome = "no verdict" if verdict.withheld else verdict.outcome
        heading = f"[{COLOURS[verdict.outcome]}]{outcome:<12}[/] {escape(name)}"
        if judgement is None or not judgement.answers or isinstance(policy, FirstPolicy):
            yield f"{heading}: {escape(verdict.reason)}"
            continue
        yield heading
        for answer in judgement.answers:
            if answer.outcome != "pass":
                yield f"  {answer.question:<10} {brief(answer, policy, unit)}"


def fitting_table(report: AuditReport, population: str, console: Console) -> Table:
    """Return the table with as many strata as the terminal has room for, the nearest and the farthest at least."""
    roomy = console.options.update(width=1000)
    for most in range(SHOWN_STRATA, 2, -1):
        table = model_table(report, population, most)
        if console.measure(table, options=roomy).maximum <= console.width:
            return table
    return model_table(report, population, 2)


def model_table(report: AuditReport, population: str, most: int = SHOWN_STRATA) -> Table:
    """Return the table: discrepancy over noise floor by stratum of a population, forget accuracy, three answers.

    Reports of the first version, which answer no questions, have one column for their verdict instead.
    """
    strata = shown_strata(len(report.strata), most)
    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for index in strata:
        table.add_column(heading(index, len(report.strata)), justify="right", no_wrap=True)
    table.add_column("forget", justify="right", no_wrap=True)
    for name in ("forgotten", "neighbours", "rest") if report.judgements else ("verdict",):
        table.add_column(name, no_wrap=True)
    for row in rows(report, population, strata):
        table.add_row(*row)
    return table


def title_of(report: AuditReport) -> str:
    """Return the title of the policy's measure."""
    return next(measure.title for measure in report.measures if measure.name == report.policy.measure)


def shown_strata(count: int, most: int = SHOWN_STRATA) -> list[int]:
    """Return which strata are shown: all of a few, else the nearest and the farthest, spread between."""
    if count <= most:
        return list(range(count))
    step = (count - 1) / (most - 1)
    return [round(place * step) for place in range(most)]


def heading(index: int, count: int) -> str:
    """Name a stratum in the table's head."""
    return {0: "near", count - 1: "far"}.get(index, str(index))


def rows(report: AuditReport, population: str, strata: Sequence[int]) -> Iterator[list[str]]:
    """Yield a row a candidate, the worst first, a row an anchor, and one row of means for the retrained models."""
    candidates = [report.model(name) for name in worst_first(report)]
    for model in (*candidates, *report.by_role("original", "untrained")):
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
    accuracies = [report.aggregate[model.name].forget_accuracy for model in models]
    return [
        name or escape(models[0].name),
        *(ratio(values) for values in ratios),
        mean([v and 100 * v for v in accuracies], "{:.0f}"),
        *answers(report, models[0].name),
    ]


def answers(report: AuditReport, name: str) -> list[str]:
    """Return the cells that answer the questions on a model; for reports of the first version, its verdict."""
    if not report.judgements:
        verdict = report.verdicts.get(name)
        return [coloured(verdict.outcome, verdict.outcome) if verdict else ""]
    judgement = report.judgements.get(name)
    if judgement is None:
        return [""] * len(QUESTIONS)
    found = {answer.question: answer for answer in judgement.answers}
    return [cell(judgement, found.get(question)) for question in QUESTIONS]


def cell(judgement: Judgement, answer: Answer | None) -> str:
    """Return "yes", "no" (how, of the forget set), "?", or a dash where no answer is given."""
    if answer is None or judgement.withheld:
        return "-"
    word = {"pass": "yes", "fail": "no", "inconclusive": "?"}[answer.outcome]
    if answer.question == "forgotten" and answer.how:
        word = {"predicts otherwise": "no: otherwise"}.get(answer.how, f"no: {answer.how}")
    return coloured(word, answer.outcome)


def coloured(text: str, outcome: str) -> str:
    """Return text in the colour of an outcome."""
    return f"[{COLOURS[outcome]}]{text}[/]"


def ratio(values: Sequence[float | None]) -> str:
    """Write the mean of ratios, below a hundred with one decimal."""
    text = mean(values, "{:.1f}")
    return text if len(text) <= 4 else mean(values, "{:.0f}")


def mean(values: Sequence[float | None], form: str) -> str:
    """Write the mean of the values that are known; a dash where none is."""
    known = [value for value in values if value is not None]
    return form.format(fmean(known)) if known else "-"
