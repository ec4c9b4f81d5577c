"""What the HTML report says about one audit, as text and tables; the template only places it."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn_audit.reporting.charts import ChartData
from unlearn_audit.reporting.tables import Table


@dataclass(frozen=True)
class Option:
    """One choice of a menu."""

    value: str
    title: str


@dataclass(frozen=True)
class VerdictView:
    """A verdict as a person reads it; `kind` is "pass", "fail", "inconclusive" or "none"."""

    kind: str
    word: str
    candidate: str
    sentence: str


@dataclass(frozen=True)
class FigureView:
    """A chart's text alternative, caption and note, and the picture shown where no script runs."""

    text: str
    caption: str
    note: str
    fallback: str | None


@dataclass(frozen=True)
class ClassesView:
    """The chart of damage by class with the tables behind it."""

    text: str
    note: str
    fallback: str | None
    populations: tuple[Option, ...]
    population: str
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class CostView:
    """The chart of excess over cost with the table behind it."""

    text: str
    note: str
    fallback: str | None
    table: Table


@dataclass(frozen=True)
class PredictionView:
    """What one model predicts for one example."""

    model: str
    predicts: str
    wrong: bool
    confidence: str
    excess: str


@dataclass(frozen=True)
class ExampleView:
    """One example of the gallery; pictures and the nearest forgotten id only where they may be shown."""

    id: str
    stratum: int
    label: int
    label_name: str
    text: str
    place: str
    image: str | None
    nearest: str
    nearest_image: str | None
    predictions: tuple[PredictionView, ...]


@dataclass(frozen=True)
class AuditView:
    """One audit, section by section in the order of the report."""

    anchor: str
    title: str
    subject: str
    alarms: tuple[str, ...]
    verdicts: tuple[VerdictView, ...]
    notes: tuple[str, ...]
    policy: str
    contents: tuple[tuple[str, str], ...]
    charts: ChartData
    neighbourhood: FigureView
    measure_options: tuple[Option, ...]
    population_options: tuple[Option, ...]
    scale_options: tuple[Option, ...]
    primary_measure: str
    primary_population: str
    scale: str
    chart_tables: tuple[Table, ...]
    aggregate: Table
    aggregate_note: str
    membership: Table | None
    strata_note: str
    strata_tables: tuple[Table, ...]
    model_options: tuple[Option, ...]
    gallery: tuple[ExampleView, ...]
    gallery_note: str
    gallery_strata: tuple[Option, ...]
    gallery_classes: tuple[Option, ...]
    classes: ClassesView | None
    cost: CostView | None
    controls: Table | None
    provenance: tuple[tuple[str, str], ...]
    models: Table
    limits: tuple[str, ...]
