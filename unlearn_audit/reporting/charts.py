"""What the charts show, as plain values: the report draws them in the browser, `plots.py` for papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class ChartModel:
    """A model with a line of its own. `slot` numbers the candidates, and so picks colour, dash and shape."""

    name: str
    title: str
    role: str  # "candidate" | "original" | "untrained"
    slot: int


@dataclass(frozen=True)
class ChartMeasure:
    """A measure as an axis names it; a signed one may fall below zero."""

    name: str
    title: str
    unit: str
    signed: bool


@dataclass(frozen=True)
class ChartStratum:
    """One place on the axis of neighbourhoods, nearest first, with its count of examples by population."""

    short: str
    title: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class ChartResult:
    """One measure on one population: values by stratum of each model, and the noise floor.

    `low` and `high` are the least and greatest discrepancy of a retrained model to the others; with fewer than two
    references there is no floor, and all three are None.
    """

    lines: Mapping[str, Values]
    floor: Values | None
    low: Values | None
    high: Values | None


@dataclass(frozen=True)
class DamagedClass:
    """A class on the axis of the class chart; `forgotten` says that it lost examples to the forget set."""

    name: str
    forgotten: bool
    count: int


@dataclass(frozen=True)
class ClassDamage:
    """Mean excess of each model on each class, worst class first."""

    classes: tuple[DamagedClass, ...]
    lines: Mapping[str, Values]


@dataclass(frozen=True)
class CostPoint:
    """A model's cost, as a share of one retraining, and its excess in the nearest stratum with its bounds."""

    name: str
    title: str
    role: str
    slot: int
    cost: float
    excess: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class ChartData:
    """Everything that one audit's charts show."""

    models: tuple[ChartModel, ...]
    measures: tuple[ChartMeasure, ...]
    primary: ChartMeasure
    strata: tuple[ChartStratum, ...]
    results: Mapping[str, Mapping[str, ChartResult]]  # by measure, then population
    classes: Mapping[str, ClassDamage]  # by population
    cost: tuple[CostPoint, ...]
