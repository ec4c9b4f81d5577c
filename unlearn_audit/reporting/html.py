"""`report.html`: one file that holds all it shows, asks the network for nothing, and opens from disk."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit import __version__
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.files import write_text
from unlearn_audit.reporting import sections
from unlearn_audit.reporting.charting import primary_population
from unlearn_audit.reporting.choices import LOCAL, PublishChoices
from unlearn_audit.reporting.ledger import Ledger
from unlearn_audit.reporting.pictures import Pictures
from unlearn_audit.reporting.sections.verdicts import shown_verdict
from unlearn_audit.reporting.tables import NOTHING, Cell, Table, number, table
from unlearn_audit.reporting.templating import page_environment, template_text

if TYPE_CHECKING:
    import pyarrow as pa
    from markupsafe import Markup

    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.reporting.charts import ChartData
    from unlearn_audit.reporting.pictures import ImageSource


@dataclass(frozen=True, eq=False)
class AuditSource:
    """One audit to show: its report, its ledger of examples, and the images, where pictures are wanted."""

    report: AuditReport
    ledger: pa.Table | None = None
    images: ImageSource | None = None


@dataclass(frozen=True)
class _RenderedSection:
    id: str
    title: str
    entry: str
    classes: str
    body: Markup


@dataclass(frozen=True)
class _RenderedAudit:
    anchor: str
    title: str
    charts: ChartData
    top: tuple[_RenderedSection, ...]
    sections: tuple[_RenderedSection, ...]


@dataclass(frozen=True)
class _Page:
    """What `report.html.j2` fills in."""

    title: str
    audits: tuple[_RenderedAudit, ...]
    comparison: Table | None
    interactive: bool
    version: str
    policy: str
    style: Markup
    script: Markup
    data: Markup


def write_html(
    report: AuditReport,
    ledger: pa.Table | None,
    path: str | Path,
    *,
    images: ImageSource | None = None,
    choices: PublishChoices = LOCAL,
    static: bool = False,
) -> Path:
    """Write one audit as one HTML file that needs no network, and return its path.

    Args:
        report: what the audit found.
        ledger: `examples.parquet`, one row an example; without it there are no examples and no classes.
        path: of the file to write.
        images: gives the pictures; without it there are none.
        choices: what may be told of the forget set; by default the ids of the nearest forgotten examples are named,
            and no forgotten image is embedded.
        static: no script, every table open: for a PDF, or a viewer that runs no script.
    """
    return write_comparison([AuditSource(report, ledger, images)], path, choices=choices, static=static)


def write_comparison(
    audits: Sequence[AuditSource], path: str | Path, *, choices: PublishChoices = LOCAL, static: bool = False
) -> Path:
    """Write several audits into one HTML file, with a table that sets them side by side."""
    write_text(path, render_html(audits, choices=choices, static=static))
    return Path(path)


def render_html(audits: Sequence[AuditSource], *, choices: PublishChoices = LOCAL, static: bool = False) -> str:
    """Return the text of the HTML file."""
    from markupsafe import Markup

    rendered = tuple(_rendered(source, place, choices, static) for place, source in enumerate(audits))
    style = template_text("report.css")
    script = "" if static else template_text("report.js")
    page = _Page(
        title=rendered[0].title if len(rendered) == 1 else f"{len(rendered)} audits compared",
        audits=rendered,
        comparison=comparison_table([source.report for source in audits]) if len(rendered) > 1 else None,
        interactive=not static,
        version=__version__,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json({"audits": [dataclasses.asdict(audit.charts) for audit in rendered]})),
    )
    return page_environment().get_template("report.html.j2").render(page=page)


def _rendered(source: AuditSource, place: int, choices: PublishChoices, static: bool) -> _RenderedAudit:
    shown = sections.ShownAudit(
        report=source.report,
        ledger=None if source.ledger is None else Ledger.of(source.ledger),
        pictures=None if source.images is None else Pictures.of(source.images),
        choices=choices,
        interactive=not static,
    )
    top: list[_RenderedSection] = []
    below: list[_RenderedSection] = []
    for section in sections.ordered():
        body = section.render(shown)
        if body is not None:
            entry = section.entry or section.title
            classes = ("long" if section.may_break else "", "" if section.printed or static else "unprinted")
            rendered = _RenderedSection(section.id, section.title, entry, " ".join(filter(None, classes)), body)
            (top if section.at_top else below).append(rendered)
    return _RenderedAudit(f"audit-{place}", source.report.title, shown.charts, tuple(top), tuple(below))


def comparison_table(reports: Sequence[AuditReport]) -> Table:
    """Return a row for each candidate of each audit: verdict, answers, ratio and excess in the nearest stratum."""
    rows = [row for report in reports for row in _comparison_rows(report)]
    columns = ("audit", "model", "verdict", *TITLES.values(), "K", "ratio, nearest stratum", "excess, nearest stratum")
    return table("Each unlearned model in its audit", columns, rows)


def _comparison_rows(report: AuditReport) -> list[list[Cell | str]]:
    rows: list[list[Cell | str]] = []
    for model in report.by_role("candidate"):
        verdict = shown_verdict(report, model)
        answers = {answer.title: answer.word for answer in verdict.answers}
        found = report.comparison(model.name, primary_population(report), report.policy.measure)
        nearest = None if found is None else found.strata[0]
        rows.append(
            [
                Cell(report.title, "text"),
                Cell(verdict.candidate, "text"),
                Cell(verdict.word, "text"),
                *(Cell(answers.get(title, NOTHING), "text") for title in TITLES.values()),
                str(report.num_references),
                number(None if nearest is None else nearest.ratio),
                number(None if nearest is None else nearest.excess),
            ]
        )
    return rows


def script_json(value: object) -> str:
    """Write JSON that is safe inside a `<script>`: no character that could end it or open a comment.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style, this script, embedded pictures and no more."""
    return (
        f"default-src 'none'; img-src data:; style-src {_source_hash(style)}; script-src {_source_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
