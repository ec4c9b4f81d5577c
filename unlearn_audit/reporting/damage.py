"""Which classes suffer: the mean excess of each model on the examples of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.reporting.charts import ClassDamage, DamagedClass

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.reporting.ledger import Ledger

DAMAGED_POPULATIONS = ("retain", "test")  # of the forget set, damage is what was asked for
MOST_CLASSES = 20  # on the chart; the table has them all


def class_damage(report: AuditReport, ledger: Ledger) -> dict[str, ClassDamage]:
    """Return the mean excess by class, for each population that has examples; the worst class comes first."""
    columns = {m.name: ledger.of_model(m.name, "excess") for m in report.by_role("candidate", "original")}
    excess = {name: column for name, column in columns.items() if column is not None}
    damage = {p: _damage(report, ledger, excess, p) for p in DAMAGED_POPULATIONS if ledger.mask(p).any()}
    return {population: found for population, found in damage.items() if found.classes}


def _damage(report: AuditReport, ledger: Ledger, excess: Mapping[str, np.ndarray], population: str) -> ClassDamage:
    mask = ledger.mask(population)
    labels = ledger["label"][mask].astype(np.int64)
    names = report.data.class_names
    counts = np.bincount(labels, minlength=len(names))
    means = {name: _mean_by_class(column[mask], labels, len(names)) for name, column in excess.items()}
    candidates = [means[m.name] for m in report.by_role("candidate") if m.name in means] or list(means.values())
    worst = np.max(candidates, axis=0) if candidates else np.zeros(len(names))
    order = [int(c) for c in np.argsort(-np.nan_to_num(worst, nan=-np.inf), kind="stable") if counts[c]]
    classes = tuple(
        DamagedClass(names[c], report.forget_set.class_counts.get(names[c], 0) > 0, int(counts[c])) for c in order
    )
    return ClassDamage(classes, {name: tuple(_known(values[c]) for c in order) for name, values in means.items()})


def _mean_by_class(excess: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the mean of `excess` (n,) by class, (num_classes,); NaN for a class without examples."""
    excess = np.asarray(excess, dtype=np.float64)
    defined = np.isfinite(excess)
    sums = np.bincount(labels[defined], weights=excess[defined], minlength=num_classes)
    counts = np.bincount(labels[defined], minlength=num_classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def shortened(damage: Mapping[str, ClassDamage]) -> dict[str, ClassDamage]:
    """Return the damage of the worst classes and of each that lost examples: what a chart can show."""
    return {population: _shortened(found) for population, found in damage.items()}


def _shortened(found: ClassDamage) -> ClassDamage:
    keep = [i for i, entry in enumerate(found.classes) if i < MOST_CLASSES or entry.forgotten]
    lines = {name: tuple(values[i] for i in keep) for name, values in found.lines.items()}
    return ClassDamage(tuple(found.classes[i] for i in keep), lines)
