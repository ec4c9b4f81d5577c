"""The figures stratum by stratum, with bounds and tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting.charting import (
    measure_title,
    model_title,
    primary_population,
    report_signed,
    stratum_title,
)
from unlearn_audit.reporting.sections._menu import Option, first_shown, follows
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import NOTHING, Cell, Group, Table, as_rows, interval, number, probability, whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport, ModelRecord
    from unlearn_audit.auditing.statistics import Comparison, StratumStatistics

__all__ = ["strata"]

TEMPLATE = """
<p class="lead">Stratum 0 is the nearest to the forget set. The ratio is discrepancy over noise floor: 1 is what another
retrained model would score. Coloured ratios lie beyond the tolerance, or within it, with their bounds.</p>
{% if interactive %}
<div class="controls">{{ choose("model", "Model", models, models[1].value) }}</div>
{% endif %}
<div class="scroll">
{% for table in tables %}
{{ cells(table) }}
{% endfor %}
</div>
"""


def _values(shown: ShownAudit) -> dict[str, Any]:
    report = shown.report
    tables = (strata_table(report, m.name, population) for m in report.measures for population in POPULATIONS)
    return {
        "models": (Option("", "all models"), *(Option(m.name, m.title) for m in shown.charts.models)),
        "tables": first_shown(tables, measure=report.policy.measure, population=primary_population(report)),
    }


strata = Section(
    "strata",
    "Stratum by stratum",
    order=20,
    template=TEMPLATE,
    values=_values,
    entry="Strata",
    may_break=True,
    printed=False,
)


def strata_table(report: AuditReport, measure: str, population: str, *, only: ModelRecord | None = None) -> Table:
    """Return discrepancy, floor, ratio, bounds and test by stratum.

    Args:
        report: what the audit found.
        measure: its name.
        population: "retain", "forget" or "test".
        only: the model whose figures are shown; by default every candidate, then the original and the untrained.
    """
    level = f"{100 * (1 - report.policy.alpha):g} %"
    columns = (
        "stratum",
        "examples",
        "discrepancy",
        "noise floor",
        "ratio",
        "excess",
        f"{level} bounds of the {'excess' if report_signed(report, measure) else 'ratio'}",
        "p (Holm)",
        "detectable ratio",
        "K that settles it",
    )
    shown = [only] if only else [*report.by_role("candidate"), *report.by_role("original", "untrained")]
    found = [(m, report.comparison(m.name, population, measure)) for m in shown]
    groups = [Group(_group_title(m, c), as_rows(_rows(report, c)), m.name) for m, c in found if c is not None]
    caption = f"{measure_title(report, measure)}, {population} set"
    return Table(caption, columns, tuple(groups), follows(measure, population))


def _group_title(model: ModelRecord, comparison: Comparison) -> str:
    contrast = comparison.contrast
    if contrast is None or contrast.difference is None:
        return model_title(model)
    return (
        f"{model_title(model)}. Locality, nearest minus farthest log-ratio: {number(contrast.difference)} "
        f"(p {probability(contrast.p_value)})"
    )


def _rows(report: AuditReport, comparison: Comparison) -> Iterable[list[Cell | str]]:
    for record, stratum in zip(report.strata, comparison.strata, strict=True):
        yield _row(stratum_title(record), stratum)
    yield _row("2 nearest together", comparison.nearest)
    yield _row("all", comparison.overall)


def _row(title: str, stratum: StratumStatistics) -> list[Cell | str]:
    kind = "over" if stratum.above_tolerance else "within" if stratum.within_tolerance else ""
    return [
        title,
        Cell(whole(stratum.count), "" if stratum.takes_part else "soft"),
        number(stratum.discrepancy),
        number(stratum.floor),
        Cell(number(stratum.ratio), kind if stratum.ratio is not None else ""),
        Cell(number(stratum.excess), kind if stratum.ratio is None else ""),
        interval(stratum.lower, stratum.upper),
        probability(stratum.p_holm),
        number(stratum.minimum_detectable_ratio),
        NOTHING if stratum.references_needed is None else whole(stratum.references_needed),
    ]
