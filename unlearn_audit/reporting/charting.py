"""From an `AuditReport` to what its charts show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from unlearn_audit.populations import POPULATIONS, RETAIN
from unlearn_audit.reporting.charts import (
    ChartData,
    ChartMeasure,
    ChartModel,
    ChartResult,
    ChartStratum,
    ClassDamage,
    CostPoint,
    Values,
)

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport, ModelRecord, StratumRecord
    from unlearn_audit.auditing.statistics import Comparison, StratumStatistics

LONGEST_TICK = 9  # characters of a stratum's label that still fit below the axis


def chart_data(report: AuditReport, classes: Mapping[str, ClassDamage] | None = None) -> ChartData:
    """Return what the charts of one audit show.

    Args:
        report: any report.
        classes: damage by class for each population, from `class_damage(report, ledger)`; without it there is no
            class chart.
    """
    models = chart_models(report)
    measures = tuple(ChartMeasure(m.name, m.title, m.unit, m.signed) for m in report.measures)
    primary = next(m for m in measures if m.name == report.policy.measure)
    return ChartData(
        models=models,
        measures=measures,
        primary=primary,
        strata=_strata(report.strata),
        results={
            measure.name: {p: _result(report, models, p, measure.name) for p in POPULATIONS} for measure in measures
        },
        classes=classes or {},
        cost=tuple(_cost_points(report, models, primary.name)),
    )


def chart_models(report: AuditReport) -> tuple[ChartModel, ...]:
    """Return the models that have a line of their own: candidates, then the original and the untrained."""
    candidates = report.by_role("candidate")
    lines = [ChartModel(m.name, model_title(m), "candidate", slot) for slot, m in enumerate(candidates)]
    lines += [ChartModel(m.name, model_title(m), m.role, 0) for m in report.by_role("original", "untrained")]
    return tuple(lines)


def model_title(model: ModelRecord) -> str:
    """Return how the report calls a model."""
    spoken = model.name.replace("_", " ")
    return f"{spoken} (no-op)" if model.role == "original" else spoken


def primary_population(report: AuditReport) -> str:
    """Return the population that charts and tables show first: the retain set."""
    return POPULATIONS[RETAIN]


def _strata(records: Sequence[StratumRecord]) -> tuple[ChartStratum, ...]:
    fit = all(len(record.label) <= LONGEST_TICK for record in records)
    return tuple(
        ChartStratum(record.label if fit else str(record.index), stratum_title(record), record.counts)
        for record in records
    )


def stratum_title(record: StratumRecord) -> str:
    """Return a stratum's number and label, as "0: nearest 10 %"."""
    return f"{record.index}: {record.label}" if record.label != str(record.index) else f"stratum {record.index}"


def _result(report: AuditReport, models: Iterable[ChartModel], population: str, measure: str) -> ChartResult:
    found = {m.name: report.comparison(m.name, population, measure) for m in models}
    lines = {name: _column(c, "discrepancy") for name, c in found.items() if c is not None}
    posing = [report.comparison(r.name, population, measure) for r in report.by_role("reference")]
    spread = [_column(c, "discrepancy") for c in posing if c is not None]
    floors = [_column(c, "floor") for c in found.values() if c is not None]
    if len(spread) < 2 or not floors:
        return ChartResult(lines, None, None, None)
    return ChartResult(lines, floors[0], _across(min, spread), _across(max, spread))


def _column(comparison: Comparison, name: str) -> Values:
    return tuple(getattr(stratum, name) for stratum in comparison.strata)


def _across(choose: Callable[[Sequence[float]], float], rows: Sequence[Values]) -> Values:
    """Return the least or greatest value of each column; None where one is not known."""
    known = ([v for v in column if v is not None] for column in zip(*rows, strict=True))
    return tuple(choose(column) if len(column) == len(rows) else None for column in known)


def _cost_points(report: AuditReport, models: Iterable[ChartModel], measure: str) -> Iterable[CostPoint]:
    population = primary_population(report)
    for model in models:
        record = report.model(model.name)
        share = record.examples_share if record.examples_share is not None else record.seconds_share
        found = report.comparison(model.name, population, measure)
        if model.role == "untrained" or share is None or found is None:
            continue
        low, high = excess_bounds(found.strata[0])
        yield CostPoint(model.name, model.title, model.role, model.slot, share, found.strata[0].excess, low, high)


def measure_title(report: AuditReport, measure: str) -> str:
    """Return the title of a measure of the report."""
    return next(m.title for m in report.measures if m.name == measure)


def report_signed(report: AuditReport, measure: str) -> bool:
    """Tell whether a measure of the report is signed."""
    return next(m.signed for m in report.measures if m.name == measure)


def excess_bounds(stratum: StratumStatistics) -> tuple[float | None, float | None]:
    """Return one-sided bounds of the excess; where there is a ratio, they follow from its bounds."""
    if stratum.lower is None or stratum.upper is None:
        return None, None
    if stratum.ratio is None or stratum.floor is None:
        return stratum.lower, stratum.upper
    return stratum.floor * (stratum.lower - 1), stratum.floor * (stratum.upper - 1)
