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

import gradio as gr
import numpy as np

from unlearn_audit import audit
from unlearn_audit.auditing.report import AuditReport
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

EVERY = "every stratum"
MOST_EXAMPLES = 25
FILES = [".parquet", ".npz", ".csv"]


def summary(report: AuditReport) -> str:
    """Return what was audited, and each verdict with its three answers, as HTML; the original's answers last."""
    rows = "".join(shown(verdict) for verdict in (*shown_verdicts(report), *doing_nothing(report)))
    return f"<p>{html.escape(subject(report))}</p><ul>{rows}</ul><p>{html.escape(policy_sentence(report))}</p>"


def shown(verdict: ShownVerdict) -> str:
    """Return one verdict with the answers that it follows from, as an item of a list."""
    answers = "".join(
        f"<li><em>{answer.title}</em> <strong>{html.escape(answer.word)}</strong>. {html.escape(answer.sentence)}</li>"
        for answer in verdict.answers
    )
    title = f"<strong>{verdict.word}</strong>: {html.escape(verdict.candidate)}".removeprefix("<strong></strong>: ")
    return f"<li>{title}. {html.escape(verdict.beside)}<ol>{answers or html.escape(verdict.sentence)}</ol></li>"


def picture(charts: ChartData, measure: str, population: str) -> str:
    """Return the chart of discrepancy by neighbourhood, as HTML."""
    svg = svg_of(lambda axes: draw_neighbourhood(axes, charts, measure, population))
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f'<img src="{address}" alt="Discrepancy by neighbourhood; the table holds the figures" style="width: 100%">'


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


def note(text: str) -> str:
    """Return what is missing or wrong, as HTML."""
    return f'<p role="alert"><strong>No answer.</strong> {html.escape(text)}</p>'


def upload() -> None:
    """Lay out the tab in which people audit their own predictions; nothing is kept."""
    gr.Markdown(
        "Files of predictions are Parquet, `.npz` or CSV with `example_id`, `label` and `logits`, from any framework; "
        "the original's have `embedding` too. They are read for this answer and not kept. A forget set names people: "
        "upload none to a Space that is not yours, but run this app at home.",
    )
    with gr.Row():
        files = [
            gr.File(label="Unlearned model", file_types=FILES),
            gr.File(label="Retrained models, at least 3", file_types=FILES, file_count="multiple"),
            gr.File(label="Ids of the forgotten examples", file_types=[".txt", ".json", ".csv", ".parquet"]),
            gr.File(label="Original model", file_types=FILES),
        ]
    asked = gr.Button("Audit", variant="primary")
    asked.click(answers, files, gr.HTML(elem_id="answers"), api_name="audit")


def build(folder: Path) -> gr.Blocks:
    """Return the app: one report folder, if it is there, and a tab for one's own predictions."""
    with gr.Blocks(title="Unlearning audit") as app:
        if (folder / "report.json").is_file():
            with gr.Tab("This audit"):
                show(folder, app)
        with gr.Tab("Your predictions"):
            upload()
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
    build(folder).launch(server_port=int(os.environ.get("PORT", "7860")), footer_links=[])


if __name__ == "__main__":
    main()
