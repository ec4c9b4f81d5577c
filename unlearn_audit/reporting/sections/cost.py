"""What each model cost, and the excess that it bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.reporting import plots
from unlearn_audit.reporting.charting import model_title, primary_population
from unlearn_audit.reporting.sections._figure import figure
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import Table, duration, number, percent, table, whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport

__all__ = ["cost"]

TEMPLATE = """
<p class="lead">{{ retraining }} Excess in the nearest stratum over the cost of the method. A good method is cheap and
stays near zero; retraining itself would lie at 100 % and zero.</p>
<figure data-chart="cost">
  {{ canvas(figure, interactive) }}
  {{ figures_behind([table], interactive) }}
</figure>
"""


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    charts = shown.charts
    if not charts.cost:
        return None
    text = "Excess in the nearest stratum over cost; the table below holds the figures."
    return {
        "retraining": retraining_cost(shown.report),
        "figure": figure(text, plots.Drawing(plots.draw_cost, (charts,))),
        "table": cost_table(shown.report),
    }


cost = Section("cost", "What it cost", order=50, template=TEMPLATE, values=_values, entry="Cost")


def retraining_cost(report: AuditReport) -> str:
    """Say what the retrained models took together, as a share of the original's training where that is known."""
    seconds = [model.seconds for model in report.by_role("reference") if model.seconds is not None]
    if len(seconds) < report.num_references:
        return ""
    said = f"The {report.num_references} retrained models took {duration(sum(seconds))}"
    original = [model.seconds for model in report.by_role("original") if model.seconds]
    if not original:
        return f"{said}. What the original took is not known."
    return f"{said}, {sum(seconds) / original[0]:.0%} of what training the original took ({duration(original[0])})."


def cost_table(report: AuditReport) -> Table:
    """Return cost and excess in the nearest stratum, model by model."""
    measure, population = report.policy.measure, primary_population(report)
    rows = []
    for model in report.by_role("candidate", "original", "reference"):
        found = report.comparison(model.name, population, measure)
        excess = found.strata[0].excess if found is not None and model.role != "reference" else None
        rows.append(
            [
                model_title(model),
                duration(model.seconds),
                percent(model.seconds_share),
                whole(model.examples),
                percent(model.examples_share),
                number(excess),
            ]
        )
    columns = (
        "model",
        "time",
        "of a retraining",
        "examples processed",
        "of a retraining",
        "excess, nearest stratum",
    )
    return table("Cost of each model", columns, rows)
