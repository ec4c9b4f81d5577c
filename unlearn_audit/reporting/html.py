"""`report.html`: one file that holds all it shows, asks the network for nothing, and opens from disk."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit import __version__
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting import plots, sections
from unlearn_audit.reporting.charting import chart_data, primary_population
from unlearn_audit.reporting.charts import ChartData, ClassDamage
from unlearn_audit.reporting.gallery import (
    GalleryChoices,
    Ledger,
    class_damage,
    class_table,
    gallery,
    menus,
    shortened,
)
from unlearn_audit.reporting.pictures import Pictures
from unlearn_audit.reporting.tables import Table, number
from unlearn_audit.reporting.view import AuditView, ClassesView, CostView, FigureView, Option

if TYPE_CHECKING:
    import pyarrow as pa
    from jinja2 import Environment
    from matplotlib.axes import Axes

    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.data.images import ImageData

TEMPLATES = "unlearn_audit.reporting.templates"


@dataclass(frozen=True)
class Page:
    """What the template fills in."""

    title: str
    audits: tuple[AuditView, ...]
    comparison: Table | None
    interactive: bool
    version: str
    policy: str
    style: Any
    script: Any
    data: Any


def template_text(name: str) -> str:
    """Return the text of a file in `templates/`."""
    return resources.files(TEMPLATES).joinpath(name).read_text(encoding="utf-8")


def environment(*, escape: bool) -> Environment:
    """Return the jinja2 environment of the templates; `escape` escapes all that is filled in for HTML."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(template_text),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def script_json(value: object) -> str:
    """Write JSON that is safe inside a `<script>`: no character that could end it or open a comment.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style, this script, embedded pictures and no more."""

    def sha256(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {sha256(style)}; script-src {sha256(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


@dataclass(frozen=True)
class HtmlChoices:
    """What a report may show.

    Attributes:
        include_forget_images: embed pictures of the nearest forgotten examples too. They may be personal data.
        include_forget_ids: name the nearest forgotten example of each example in the gallery.
        static: no script, every table open: for a PDF or a viewer that runs none.
    """

    include_forget_images: bool = False
    include_forget_ids: bool = True
    static: bool = False


@dataclass(frozen=True, eq=False)
class AuditSource:
    """One audit to show: its report, its ledger of examples, and the images, where pictures are wanted."""

    report: AuditReport
    ledger: pa.Table | None = None
    images: ImageData | None = None


def write_html(
    report: AuditReport,
    ledger: pa.Table | None,
    path: str | Path,
    *,
    images: ImageData | None = None,
    choices: HtmlChoices | None = None,
) -> Path:
    """Write one audit as one HTML file that needs no network, and return its path.

    Args:
        report: what the audit found.
        ledger: `examples.parquet`, one row an example; without it there are no examples and no classes.
        path: of the file to write.
        images: gives the pictures; without it there are none.
        choices: what may be shown; see `HtmlChoices`.
    """
    return write_comparison([AuditSource(report, ledger, images)], path, choices=choices)


def write_comparison(audits: Sequence[AuditSource], path: str | Path, *, choices: HtmlChoices | None = None) -> Path:
    """Write several audits into one HTML file, with a table that sets them side by side."""
    path = Path(path)
    path.write_text(render_html(audits, choices=choices), encoding="utf-8")
    return path


def render_html(audits: Sequence[AuditSource], *, choices: HtmlChoices | None = None) -> str:
    """Return the text of the HTML file."""
    from markupsafe import Markup

    choices = choices or HtmlChoices()
    views = tuple(_view(source, place, choices) for place, source in enumerate(audits))
    style = template_text("report.css")
    script = "" if choices.static else template_text("report.js")
    page = Page(
        title=views[0].title if len(views) == 1 else f"{len(views)} audits compared",
        audits=views,
        comparison=sections.comparison_table([source.report for source in audits]) if len(views) > 1 else None,
        interactive=not choices.static,
        version=__version__,
        policy=content_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json({"audits": [dataclasses.asdict(view.charts) for view in views]})),
    )
    return environment(escape=True).get_template("report.html.j2").render(page=page)


def _view(source: AuditSource, place: int, choices: HtmlChoices) -> AuditView:
    report = source.report
    ledger = None if source.ledger is None else Ledger.of(source.ledger)
    damage = {} if ledger is None else class_damage(report, ledger)
    charts = chart_data(report, shortened(damage))
    examples = () if ledger is None else gallery(report, ledger, _gallery_choices(source, choices))
    strata_menu, class_menu = menus(report, examples)
    population = primary_population(report)
    result = charts.results[charts.primary.name][population]
    view = AuditView(
        anchor=f"audit-{place}",
        title=report.title,
        subject=sections.subject(report),
        alarms=sections.alarms(report),
        verdicts=sections.verdicts(report),
        notes=sections.notes(report),
        policy=sections.policy_sentence(report),
        contents=(),
        charts=charts,
        neighbourhood=_neighbourhood(charts, population),
        measure_options=tuple(Option(m.name, m.title) for m in report.measures),
        population_options=tuple(Option(p, p) for p in POPULATIONS),
        scale_options=(Option("linear", "linear"), Option("log", "logarithmic")),
        primary_measure=charts.primary.name,
        primary_population=population,
        scale="log" if plots.logarithmic(result) else "linear",
        chart_tables=_first_shown(sections.chart_tables(report), charts.primary.name, population),
        aggregate=sections.aggregate_table(report),
        aggregate_note=sections.AGGREGATE_NOTE,
        membership=sections.membership_table(report),
        strata_note=STRATA_NOTE,
        strata_tables=_first_shown(sections.strata_tables(report), charts.primary.name, population),
        model_options=(Option("", "all models"), *(Option(m.name, m.title) for m in charts.models)),
        gallery=examples,
        gallery_note=_gallery_note(source, choices),
        gallery_strata=strata_menu,
        gallery_classes=class_menu,
        classes=_classes(charts, damage),
        cost=_cost(report, charts),
        controls=sections.controls_table(report),
        provenance=sections.provenance(report),
        models=sections.model_table(report),
        limits=(
            *sections.limits(report),
            sections.picture_limit(images=source.images is not None, forget_images=choices.include_forget_images),
        ),
    )
    return dataclasses.replace(view, contents=_contents(view))


STRATA_NOTE = (
    "Stratum 0 is the nearest to the forget set. The ratio is discrepancy over noise floor: 1 is what "
    "another retrained "
    "model would score. Coloured ratios lie beyond the tolerance, or within it, with their bounds."
)


def _contents(view: AuditView) -> tuple[tuple[str, str], ...]:
    every = (
        ("neighbourhood", "Neighbourhoods", True),
        ("strata", "Strata", True),
        ("examples", "Examples", view.gallery),
        ("classes", "Classes", view.classes),
        ("cost", "Cost", view.cost),
        ("controls", "Controls", view.controls),
        ("provenance", "Provenance", True),
        ("limits", "Limits", True),
    )
    return tuple((name, title) for name, title, there in every if there)


def _first_shown(tables: Sequence[Table], measure: str, population: str) -> tuple[Table, ...]:
    """Hide, until they are chosen, all tables but that of the primary measure and population."""

    def shown(table: Table) -> bool:
        return table.attributes["data-measure"] == measure and table.attributes["data-population"] == population

    return tuple(t if shown(t) else _hidden(t) for t in tables)


def _gallery_choices(source: AuditSource, choices: HtmlChoices) -> GalleryChoices:
    pictures = None if source.images is None else Pictures((source.images.train, source.images.test))
    return GalleryChoices(pictures, choices.include_forget_images, choices.include_forget_ids)


def _gallery_note(source: AuditSource, choices: HtmlChoices) -> str:
    note = "Retained and test examples with the greatest excess under each unlearned model, greatest first. "
    if source.images is None:
        return note + "No images are embedded in this file."
    if choices.include_forget_images:
        return note + "Beside each stands the forgotten example that lies nearest."
    return note + "Images of the forget set are not embedded; only retained and test examples are shown."


def _picture(draw: Callable[[Axes], None], height: float = 3.6) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(plots.svg_of(draw, height=height)).decode()}"


def _neighbourhood(charts: ChartData, population: str) -> FigureView:
    result = charts.results[charts.primary.name][population]
    told = [
        f"{m.title}: {number(result.lines[m.name][0])} in the nearest stratum, "
        f"{number(result.lines[m.name][-1])} in the farthest"
        for m in charts.models
        if m.name in result.lines
    ]
    note = "With fewer than two retrained models there is no noise floor."
    if result.floor is not None:
        told.append(
            f"noise floor: {number(result.floor[0])} in the nearest, {number(result.floor[-1])} in the farthest"
        )
        note = (
            "The line in the band is the noise floor; the band reaches from the least to the greatest "
            "discrepancy of one "
            "retrained model to the others."
        )
    return FigureView(
        text="; ".join(told) + ".",
        caption=f"{charts.primary.title}, {population} set",
        note=note,
        fallback=_picture(lambda axes: plots.draw_neighbourhood(axes, charts, charts.primary.name, population)),
    )


def _classes(charts: ChartData, damage: Mapping[str, ClassDamage]) -> ClassesView | None:
    if not damage:
        return None
    population = next(iter(damage))
    shown = charts.classes[population]
    worst = ", ".join(entry.name for entry in shown.classes[:3])
    tables = [class_table(found, p, charts.primary.title) for p, found in damage.items()]
    return ClassesView(
        text=f"Mean excess by class. The classes that suffer most: {worst}.",
        note="Mean excess over the examples of each class, worst first; those that lost examples are marked.",
        fallback=_picture(lambda axes: plots.draw_classes(axes, charts, population), 1.4 + 0.22 * len(shown.classes)),
        populations=tuple(Option(p, p) for p in damage),
        population=population,
        tables=tuple(t if t.attributes["data-class-table"] == population else _hidden(t) for t in tables),
    )


def _hidden(table: Table) -> Table:
    return dataclasses.replace(table, attributes={**table.attributes, "hidden": "hidden"})


def _cost(report: AuditReport, charts: ChartData) -> CostView | None:
    if not charts.cost:
        return None
    return CostView(
        text="Excess in the nearest stratum over cost; the table below holds the figures.",
        note=(
            "Excess in the nearest stratum over the cost of the method. A good method is cheap and stays "
            "near zero; "
            "retraining itself would lie at 100 % and zero."
        ),
        fallback=_picture(lambda axes: plots.draw_cost(axes, charts)),
        table=sections.cost_table(report),
    )
