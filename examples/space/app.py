"""Look at an audit, or audit predictions of your own: the three answers, strata, and the examples that suffer most.

    pip install -r examples/space/requirements.txt
    python examples/space/app.py REPORT_FOLDER

The folder is what `unlearn-audit` wrote, or what `unlearn-audit push` published. As a Space, put the folder beside this
file under the name `report`.
"""

import base64
import html
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import numpy as np

from unlearn_audit import audit
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.calibration.benchmark import Benchmark
from unlearn_audit.calibration.pool import SHIPPED
from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting.charting import chart_data, primary_population, stratum_title
from unlearn_audit.reporting.charts import ChartData
from unlearn_audit.reporting.ledger import Ledger, read_ledger
from unlearn_audit.reporting.plots import draw_neighbourhood, svg_of
from unlearn_audit.reporting.sections.strata import strata_table
from unlearn_audit.reporting.sections.verdicts import (
    ShownVerdict,
    doing_nothing,
    policy_sentence,
    shown_verdicts,
    subject,
)
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import run_audit

EVERY = "every stratum"
MOST_EXAMPLES = 25
FILES = [".parquet", ".npz", ".csv", ".jsonl"]
LOW = 140  # height of a field for files, in pixels
LOOK = """
.told table {width: 100%; border-collapse: collapse; margin: 1em 0}
.told th, .told td {text-align: left; padding: .5em .6em; border: 0}
.told table, .told thead, .told tbody, .told tr {border: 0}
.told tr {border-bottom: 1px solid var(--border-color-primary)}
.told th, .told td, .told li, .told p {font-size: var(--text-md); overflow-wrap: anywhere}
.told summary {cursor: pointer; font-weight: 600; margin: .8em 0}
.told .pass {color: #00704f} .told .fail {color: #b3420a} .told .inconclusive, .told .none {color: #6b5a12}
.dark .told .pass {color: #45c79c} .dark .told .fail {color: #f2905a}
.dark .told .inconclusive, .dark .told .none {color: #dcc15f}
@media (max-width: 40rem) {
  .told thead {display: none}
  .told th, .told td {display: block; border: 0; padding: .1em 0}
  .told tr {display: block; padding: .6em 0}
  .told td[data-asked]::before {content: attr(data-asked) " "; color: var(--body-text-color)}
}
.chart {overflow-x: auto} .chart img {width: 100%; min-width: 36rem; border-radius: 6px}
"""


def summary(report: AuditReport) -> str:
    """Return what was audited, and each model's three answers, as HTML; the original's last, the reasons folded."""
    verdicts = (*shown_verdicts(report), *doing_nothing(report))
    titles = next((verdict.answers for verdict in verdicts if verdict.answers), ())
    head = "".join(f"<th scope=col>{html.escape(answer.title)}</th>" for answer in titles)
    rows = "".join(row(verdict, len(titles)) for verdict in verdicts)
    reasons = "".join(reason(verdict) for verdict in verdicts)
    is_open = " open" if len(report.by_role("candidate")) == 1 else ""
    return (
        f'<div class="told"><p>{html.escape(subject(report))}</p>'
        f"<table><thead><tr><th scope=col>Model</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<details{is_open}><summary>Why: the figures behind each answer</summary>{reasons}"
        f"<p>{html.escape(policy_sentence(report))}</p></details></div>"
    )


def row(verdict: ShownVerdict, columns: int) -> str:
    """Return a model's three answers as a row of the table, or why there are none."""
    words = "".join(
        f'<td class="{answer.kind}" data-asked="{html.escape(answer.title)}">{html.escape(answer.word)}</td>'
        for answer in verdict.answers
    )
    none = f"<td colspan={max(columns, 1)}>{html.escape(verdict.sentence)}</td>"
    return f"<tr><th scope=row>{html.escape(verdict.candidate)}</th>{words or none}</tr>"


def reason(verdict: ShownVerdict) -> str:
    """Return one verdict with the sentences that it follows from."""
    answers = "".join(
        f'<li><em>{answer.title}</em> <strong class="{answer.kind}">{html.escape(answer.word)}</strong>. '
        f"{html.escape(answer.sentence)}</li>"
        for answer in verdict.answers
    )
    word = f': <strong class="{verdict.kind}">{verdict.word}</strong>' if verdict.word else ""
    sentences = f"<ol>{answers}</ol>" if answers else ""
    return f"<p><strong>{html.escape(verdict.candidate)}</strong>{word}. {html.escape(verdict.beside)}</p>{sentences}"


def picture(charts: ChartData, measure: str, population: str) -> str:
    """Return the chart of discrepancy by neighbourhood, as HTML."""
    svg = svg_of(lambda axes: draw_neighbourhood(axes, charts, measure, population))
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    alternative = "Discrepancy by neighbourhood; the table holds the figures"
    return f'<div class="chart"><img src="{address}" alt="{alternative}"></div>'


def strata(report: AuditReport, model: str, measure: str, population: str) -> dict[str, list]:
    """Return a model's figures stratum by stratum."""
    table = strata_table(report, measure, population, only=report.model(model))
    rows = [[cell.text for cell in row] for group in table.groups for row in group.rows]
    return {"headers": list(table.columns), "data": rows}


def examples(report: AuditReport, ledger: Ledger, model: str, population: str, stratum: str) -> dict[str, list]:
    """Return the examples of a population with the greatest excess under a model, all or those of one stratum."""
    excess = ledger.of_model(model, "excess")
    wanted = ledger.mask(population) & np.isfinite(excess)
    if stratum != EVERY:
        wanted &= ledger["stratum"] == [stratum_title(s) for s in report.strata].index(stratum)
    rows = np.flatnonzero(wanted)
    worst = rows[np.argsort(-excess[rows], kind="stable")][:MOST_EXAMPLES]
    names = report.data.class_names
    data = [
        [
            str(ledger["example_id"][row]),
            names[ledger["label"][row]],
            stratum_title(report.strata[ledger["stratum"][row]]),
            names[ledger.of_model(model, "top1")[row]],
            round(float(ledger.of_model(model, "confidence")[row]), 3),
            round(float(excess[row]), 4),
        ]
        for row in worst
    ]
    return {"headers": ["example", "class", "stratum", "predicted", "probability of the class", "excess"], "data": data}


def answers(candidate: str, references: list[str], forget: str, original: str | None) -> str:
    """Audit an unlearned model against retrained ones, and say whether it is forgotten and whom that hurt.

    Args:
        candidate: file of the unlearned model's predictions: Parquet, .npz or CSV with example_id, label, logits.
        references: files of at least three models that were retrained without the forgotten examples.
        forget: file of the forgotten examples' ids: txt, csv, json or parquet.
        original: file of the model before unlearning, with a column `embedding`.
    """
    if not (candidate and references and forget and original):
        return note("Give the unlearned model, at least three retrained ones, the original, and the forgotten ids.")
    try:
        found = audit({"yours": candidate}, references, forget, original=original)
    except UnlearnAuditError as error:
        return note(str(error))
    return summary(found.report)


def benchmark_answers(benchmark: str, candidate: str) -> str:
    """Audit an unlearned model by retrained models that come with unlearn-audit, and give the three answers.

    Args:
        benchmark: digits, memorising or generalising, as `unlearn-audit benchmark` lists them.
        candidate: file of the unlearned model's predictions: Parquet, .npz or CSV with example_id, label, logits.
    """
    if not candidate:
        return note("Give the unlearned model's predictions.")
    try:
        with TemporaryDirectory() as folder:
            found = Benchmark.find(benchmark, folder)
            mine = found.own_examples(ModelFiles((candidate,)), Path(folder) / "yours")
            return summary(run_audit(found.request({"yours": mine})).report)
    except UnlearnAuditError as error:
        return note(str(error))


def note(text: str) -> str:
    """Return what is missing or wrong, as HTML."""
    return f'<p role="alert"><strong>No answer.</strong> {html.escape(text)}</p>'


def field(label: str, name: str, **options: Any) -> gr.File:
    """Return a field for files, of predictions unless `options` say otherwise."""
    return gr.File(label=label, elem_id=name, height=LOW, **{"file_types": FILES, **options})


def upload() -> None:
    """Lay out the tab in which people audit their own predictions; nothing is kept."""
    gr.Markdown(
        "# Was it forgotten, and whom did it hurt?\n\n"
        "Files of predictions are Parquet, `.npz` or CSV with `example_id`, `label` and `logits`, from any framework; "
        "the original's have `embedding` too. They are read for this answer and not kept. A forget set names people: "
        "upload none to a Space that is not yours, but run this app at home.",
    )
    with gr.Row():
        files = [
            field("Unlearned model", "unlearned"),
            field("Retrained models, at least 3", "retrained", file_count="multiple"),
            field("Ids of the forgotten examples", "forgotten", file_types=[".txt", ".json", ".csv", ".parquet"]),
            field("Original model", "original"),
        ]
    asked = gr.Button("Audit", variant="primary")
    asked.click(answers, files, gr.HTML(elem_id="answers"), api_name="audit")


def compare() -> None:
    """Lay out the tab in which people audit a method by the retrained models of a benchmark."""
    gr.Markdown(
        "# How does a method do on a benchmark?\n\n"
        "The retrained models come with unlearn-audit: train an original as the benchmark's were, unlearn it, and give "
        "its predictions alone. `unlearn-audit benchmark digits --output digits` says how, and what to forget."
    )
    with gr.Row():
        chosen = gr.Dropdown(list(SHIPPED), value="digits", label="Benchmark")
        file = field("Unlearned model", "on-benchmark")
    asked = gr.Button("Audit", variant="primary")
    asked.click(benchmark_answers, [chosen, file], gr.HTML(elem_id="benchmark-answers"), api_name="benchmark")


def build(folder: Path) -> gr.Blocks:
    """Return the app: one report folder, if it is there, and a tab for one's own predictions."""
    with gr.Blocks(title="Unlearning audit") as app:
        if (folder / "report.json").is_file():
            with gr.Tab("This audit"):
                show(folder, app)
        with gr.Tab("Your predictions"):
            upload()
        with gr.Tab("A benchmark"):
            compare()
    return app


def show(folder: Path, app: gr.Blocks) -> None:
    """Lay out the tab of one report folder."""
    report, ledger = AuditReport.load(folder), Ledger.of(read_ledger(folder))
    charts = chart_data(report)
    models = [m.name for m in report.by_role("candidate", "original", "untrained")]
    present = [p for p in POPULATIONS if ledger.mask(p).any()]
    first = primary_population(report) if primary_population(report) in present else present[0]

    def answer(model: str, measure: str, population: str, stratum: str) -> tuple:
        """Return a model's picture, strata and worst examples in this audit."""
        return (
            picture(charts, measure, population),
            strata(report, model, measure, population),
            examples(report, ledger, model, population, stratum),
        )

    def verdicts() -> dict[str, dict[str, str]]:
        """Return what this audit answers to each of the three questions, with the figures, by model."""
        shown = (*shown_verdicts(report), *doing_nothing(report))
        return {each.candidate: {a.title: f"{a.word}. {a.sentence}" for a in each.answers} for each in shown}

    gr.api(verdicts, api_name="verdicts")
    gr.Markdown(f"# {report.title}", sanitize_html=True)
    gr.HTML(summary(report))
    with gr.Row():
        choices = [
            gr.Dropdown(models, value=models[0], label="Model"),
            gr.Dropdown([(m.title, m.name) for m in report.measures], value=report.policy.measure, label="Measure"),
            gr.Dropdown(present, value=first, label="Population"),
            gr.Dropdown([EVERY, *map(stratum_title, report.strata)], value=EVERY, label="Stratum"),
        ]
    outputs = [
        gr.HTML(label="Discrepancy by neighbourhood"),
        gr.Dataframe(label="Stratum by stratum", interactive=False),
        gr.Dataframe(label="Examples that suffer most, by the policy's measure", interactive=False),
    ]
    for choice in choices:
        choice.change(answer, choices, outputs, api_name="answer" if choice is choices[0] else False)
    app.load(answer, choices, outputs, api_name=False)


def main() -> None:
    """Serve the report folder named on the command line, or `report` beside this file, if it is there."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "report"
    build(folder).launch(server_port=int(os.environ.get("PORT", "7860")), footer_links=[], css=LOOK)


if __name__ == "__main__":
    main()
