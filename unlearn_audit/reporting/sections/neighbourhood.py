"""Discrepancy by neighbourhood, set against aggregate figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting import plots
from unlearn_audit.reporting.charting import model_title, primary_population, stratum_title
from unlearn_audit.reporting.sections._figure import figure
from unlearn_audit.reporting.sections._menu import Option, first_shown, follows, options
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import Table, number, percent, table, whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.reporting.charts import ChartData, ChartResult

__all__ = ["neighbourhood"]

TEMPLATE = """
<p class="lead">How far each model's predictions are from those of the retrained models, from the examples nearest to
the forget set to the farthest. Inside the band a model is no farther from the retrained models than they are from each
other.</p>
<div class="columns">
  <figure data-chart="neighbourhood" data-summary="{{ figure.text }}">
    {% if interactive %}
    <div class="controls">
      {{ choose("measure", "Measure", measures, measure) }}
      {{ choose("population", "Population", populations, population) }}
      {{ choose("scale", "Scale", scales, scale) }}
    </div>
    <ul class="legend" aria-label="Models; press one to hide or show it"></ul>
    {% endif %}
    {{ canvas(figure, interactive) }}
    <figcaption><span data-title>{{ caption }}</span>. {{ note }}</figcaption>
    {{ figures_behind(tables, interactive) }}
  </figure>
  <aside>
    <h3>What aggregate figures say</h3>
    <div class="scroll">{{ cells(aggregate) }}</div>
    {% if membership %}
    <div class="scroll second">{{ cells(membership) }}</div>
    {% endif %}
    <p class="soft">The aim is the retrained models' values. One number for a whole population can agree with them while
    the examples nearest to the forget set do not: compare with the chart.</p>
  </aside>
</div>
"""
SCALES = (Option("linear", "linear"), Option("log", "logarithmic"))


def _values(shown: ShownAudit) -> dict[str, Any]:
    report, charts = shown.report, shown.charts
    measure, population = charts.primary, primary_population(report)
    result = charts.results[measure.name][population]
    return {
        "figure": figure(
            _summary(charts, result),
            plots.Drawing(plots.draw_neighbourhood, (charts, measure.name, population)),
        ),
        "caption": f"{measure.title}, {population} set",
        "note": _note(result),
        "measures": tuple(Option(m.name, m.title) for m in report.measures),
        "measure": measure.name,
        "populations": options(POPULATIONS),
        "population": population,
        "scales": SCALES,
        "scale": "log" if plots.logarithmic(result) else "linear",
        "tables": first_shown(_chart_tables(report), measure=measure.name, population=population),
        "aggregate": aggregate_table(report),
        "membership": membership_table(report),
    }


neighbourhood = Section(
    "neighbourhood",
    "Discrepancy by neighbourhood",
    order=10,
    template=TEMPLATE,
    values=_values,
    entry="Neighbourhoods",
)


def _summary(charts: ChartData, result: ChartResult) -> str:
    told = [
        f"{m.title}: {number(result.lines[m.name][0])} in the nearest stratum, "
        f"{number(result.lines[m.name][-1])} in the farthest"
        for m in charts.models
        if m.name in result.lines
    ]
    if result.floor is not None:
        near, far = number(result.floor[0]), number(result.floor[-1])
        told.append(f"noise floor: {near} in the nearest, {far} in the farthest")
    return "; ".join(told) + "."


def _note(result: ChartResult) -> str:
    if result.floor is None:
        return "With fewer than two retrained models there is no noise floor."
    return (
        "The line in the band is the noise floor; the band reaches from the least to the greatest discrepancy of one "
        "retrained model to the others."
    )


def _chart_tables(report: AuditReport) -> Iterable[Table]:
    for measure in report.measures:
        for population in POPULATIONS:
            yield _chart_table(report, measure.name, measure.title, population)


def _chart_table(report: AuditReport, measure: str, title: str, population: str) -> Table:
    found = [(m, c) for m, c in report.comparisons(population, measure) if m.role != "reference"]
    columns = ["stratum", "examples", "noise floor", *(model_title(m) for m, _ in found)]
    rows = []
    for place, record in enumerate(report.strata):
        floor = found[0][1].strata[place].floor if found else None
        values = [number(c.strata[place].discrepancy) for _, c in found]
        rows.append([stratum_title(record), whole(record.counts.get(population, 0)), number(floor), *values])
    caption = f"{title}, {population} set: mean discrepancy to the retrained models"
    return table(caption, columns, rows, **follows(measure, population))


def aggregate_table(report: AuditReport) -> Table:
    """Return the aggregate figures: first those of the retrained models, at which an unlearned one aims."""
    retrained = [m.name for m in report.by_role("reference")]
    rows = [[f"retrained, mean of {len(retrained)}", *_aggregate_cells(report, retrained)]]
    for model in report.by_role("candidate", "original", "untrained"):
        rows.append([model_title(model), *_aggregate_cells(report, [model.name])])
    columns = ("model", *POPULATIONS, "ToW")
    return table("Accuracy by population, and ToW, where 1 is best", columns, rows)


def _aggregate_cells(report: AuditReport, names: list[str]) -> list[str]:
    known = [report.aggregate[name] for name in names if name in report.aggregate]
    shares = [percent(_mean(getattr(figures, f"{p}_accuracy") for figures in known)) for p in POPULATIONS]
    return [*shares, number(_mean(figures.tug_of_war for figures in known))]


def membership_table(report: AuditReport) -> Table | None:
    """Return membership inference on the forget set: the margin's AUC, and the attack on confidence."""
    if not report.membership:
        return None
    retrained = [m.name for m in report.by_role("reference")]
    rows = [[f"retrained, mean of {len(retrained)}", *_membership_cells(report, retrained)]]
    for model in report.by_role("candidate", "original"):
        rows.append([model_title(model), *_membership_cells(report, [model.name])])
    columns = ("model", "AUC of the margin", "taken for unseen")
    return table("Membership inference on the forget set", columns, rows)


def _membership_cells(report: AuditReport, names: list[str]) -> list[str]:
    known = [report.membership[name] for name in names if name in report.membership]
    attacks = [figures.svc["confidence"].value for figures in known if "confidence" in figures.svc]
    return [number(_mean(figures.auc for figures in known)), percent(_mean(attacks))]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
