"""What a recipe says that was measured, and whether another run's report agrees with it."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unlearn_audit.files import versions
from unlearn_audit.populations import POPULATIONS

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.auditing.statistics import StratumStatistics

_VERSIONED = ("unlearn-audit", "torch", "transformers", "accelerate", "timm")


@dataclass(frozen=True, kw_only=True)
class MeasuredRatio:
    """A discrepancy over its noise floor, and within which bounds another run should find it.

    Attributes:
        stratum: its label; "all" for the whole population.
        ratio: D / F.
        between: the lowest and the highest that agree: the report's bounds, widened by √2 on the logarithmic scale,
            since another run is as much a draw as this one.
    """

    stratum: str
    ratio: float
    between: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The outcome of a recipe, with what it was measured on.

    Attributes:
        measure: that the verdict rests on.
        retain: by stratum, nearest first.
        forget: of the whole forget set.
        test: by stratum, nearest first.
        accuracy: by population, in [0, 1].
        cost: CPU time as a share of one retraining.
        verdict: of the audit; empty in recipes whose study was judged by the first version.
        seeds: of the original, the retrained and the unlearned models.
        machine: in words.
        versions: of the packages that matter.
        created: when, UTC.
    """

    measure: str
    retain: tuple[MeasuredRatio, ...]
    forget: tuple[MeasuredRatio, ...]
    test: tuple[MeasuredRatio, ...]
    accuracy: dict[str, float]
    cost: float | None = None
    verdict: str = ""
    seeds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""


def measure_outcome(
    report: AuditReport, candidate: str, *, seeds: dict[str, tuple[int, ...]], cost: float | None = None
) -> Measured:
    """Return what a report says of one candidate, with this machine and its versions."""
    figures = report.aggregate[candidate]
    return Measured(
        measure=report.policy.measure,
        retain=tuple(_ratios(report, candidate, "retain")),
        forget=tuple(_ratios(report, candidate, "forget", strata=False)),
        test=tuple(_ratios(report, candidate, "test")),
        accuracy={
            name: round(value, 4) for name in POPULATIONS if (value := getattr(figures, f"{name}_accuracy")) is not None
        },
        cost=cost,
        verdict=report.verdicts[candidate].outcome,
        seeds=seeds,
        machine=describe_machine(),
        versions=versions(_VERSIONED),
        created=report.provenance.created,
    )


def _ratios(report: AuditReport, candidate: str, population: str, *, strata: bool = True) -> Iterator[MeasuredRatio]:
    comparison = report.comparison(candidate, population, report.policy.measure)
    if comparison is None:
        return
    named = [("all", comparison.overall)]
    if strata:
        named = [(record.label, found) for record, found in zip(report.strata, comparison.strata, strict=True)]
    for label, found in named:
        if found.ratio is not None and found.takes_part:
            low, high = _spread(found)
            yield MeasuredRatio(stratum=label, ratio=round(found.ratio, 3), between=(low, high))


def _spread(found: StratumStatistics) -> tuple[float, float]:
    """Return the bounds, √2 times as far from the ratio; without bounds (K < 3) anything agrees."""
    if found.ratio is None or found.lower is None or found.upper is None or found.lower <= 0:
        return 0.0, math.inf
    low = found.ratio * (found.lower / found.ratio) ** math.sqrt(2)
    high = found.ratio * (found.upper / found.ratio) ** math.sqrt(2)
    return math.floor(1000 * low) / 1000, math.ceil(1000 * high) / 1000


def differences(report: AuditReport, candidate: str, measured: Measured) -> list[str]:
    """Return in words each ratio of a report that is not within the spread that a recipe states."""
    found = measure_outcome(report, candidate, seeds={})
    words = []
    for population in POPULATIONS:
        here = {entry.stratum: entry.ratio for entry in getattr(found, population)}
        for entry in getattr(measured, population):
            low, high = entry.between
            ratio = here.get(entry.stratum)
            if ratio is None or not low <= ratio <= high:
                words.append(
                    f"{population}, {entry.stratum}: {'nothing' if ratio is None else f'{ratio:.2f}'} where the recipe "
                    f"measured {entry.ratio:.2f} ({low:.2f} to {high:.2f})"
                )
    return words


def describe_machine() -> str:
    """Return processor, cores and accelerator in words."""
    import torch

    processor = platform.processor() or platform.machine()
    fast = "with bfloat16 instructions" if torch.cpu._is_avx512_bf16_supported() else "without bfloat16 instructions"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores ({processor}, {fast}), {device}"
