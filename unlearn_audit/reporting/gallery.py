"""The report's examples: the worst-hit ones with their pictures, and the classes that suffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.reporting.charting import model_title, stratum_title
from unlearn_audit.reporting.charts import ClassDamage, DamagedClass
from unlearn_audit.reporting.pictures import Pictures
from unlearn_audit.reporting.tables import MINUS, NOTHING, Table, number, percent, table, whole
from unlearn_audit.reporting.view import ExampleView, Option, PredictionView

if TYPE_CHECKING:
    import pyarrow as pa

    from unlearn_audit.auditing.report import AuditReport, ModelRecord

GALLERY_POPULATIONS = ("retain", "test")
MOST_EXAMPLES = 24  # of all models together
MOST_CLASSES = 20  # on the chart; the table has them all


@dataclass(frozen=True, eq=False)
class Ledger:
    """The columns of `examples.parquet`, one row an example."""

    columns: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, rows: pa.Table) -> Ledger:
        """Read every column of an Arrow table."""
        return cls({name: rows.column(name).to_numpy(zero_copy_only=False) for name in rows.column_names})

    def __len__(self) -> int:
        return len(self["example_id"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def of_model(self, model: str, what: str) -> np.ndarray | None:
        """Return a model's column, or None where the ledger does not have it."""
        return self.columns.get(f"{model}.{what}")

    def mask(self, population: str) -> np.ndarray:
        """Return which rows belong to a population, (n,) bool."""
        return self["population"] == population


def class_damage(report: AuditReport, ledger: Ledger) -> dict[str, ClassDamage]:
    """Return the mean excess by class, for each population that has examples; the worst class comes first."""
    models = [m for m in report.by_role("candidate", "original") if ledger.of_model(m.name, "excess") is not None]
    damage = {p: _damage(report, ledger, models, p) for p in GALLERY_POPULATIONS if ledger.mask(p).any()}
    return {population: found for population, found in damage.items() if found.classes}


def _damage(report: AuditReport, ledger: Ledger, models: list[ModelRecord], population: str) -> ClassDamage:
    mask = ledger.mask(population)
    labels = ledger["label"][mask].astype(np.int64)
    names = report.data.class_names
    counts = np.bincount(labels, minlength=len(names))
    means = {m.name: _mean_by_class(ledger.of_model(m.name, "excess")[mask], labels, len(names)) for m in models}
    candidates = [means[m.name] for m in models if m.role == "candidate"] or list(means.values())
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


def class_table(damage: ClassDamage, population: str, measure: str) -> Table:
    """Return the table behind the class chart, with all classes."""
    rows = [
        [
            f"{entry.name} (forgotten)" if entry.forgotten else entry.name,
            whole(entry.count),
            *(number(values[i]) for values in damage.lines.values()),
        ]
        for i, entry in enumerate(damage.classes)
    ]
    caption = f"Mean excess by class, {measure}, {population} set"
    models = (name.replace("_", " ") for name in damage.lines)
    return table(caption, ("class", "examples", *models), rows, **{"data-class-table": population})


# Examples


@dataclass(frozen=True)
class GalleryChoices:
    """What the gallery may show: pictures, if any, and pictures and ids of the forget set."""

    pictures: Pictures | None = None
    forget_images: bool = False
    forget_ids: bool = True


def gallery(report: AuditReport, ledger: Ledger, choices: GalleryChoices) -> tuple[ExampleView, ...]:
    """Return the retained and test examples that suffer most under each candidate, greatest excess first."""
    rows = _worst_rows(report, ledger)
    return tuple(_example(report, ledger, row, choices) for row in rows)


def _worst_rows(report: AuditReport, ledger: Ledger) -> list[int]:
    shown = np.isin(ledger["population"], GALLERY_POPULATIONS)
    worst: dict[int, float] = {}
    candidates = report.by_role("candidate")
    share = max(2, MOST_EXAMPLES // len(candidates))
    for model in candidates:
        excess = ledger.of_model(model.name, "excess")
        if excess is None:
            continue
        ranked = np.where(shown & np.isfinite(excess), excess, -np.inf)
        for row in np.argsort(-ranked, kind="stable")[:share]:
            if ranked[row] > 0:
                worst[int(row)] = max(worst.get(int(row), -np.inf), float(ranked[row]))
    return sorted(worst, key=lambda row: -worst[row])


def _example(report: AuditReport, ledger: Ledger, row: int, choices: GalleryChoices) -> ExampleView:
    example_id = str(ledger["example_id"][row])
    label = int(ledger["label"][row])
    name = report.data.class_names[label]
    stratum = int(ledger["stratum"][row])
    nearest = _nearest(ledger, row)
    address = choices.pictures.address if choices.pictures is not None else lambda _: None
    return ExampleView(
        id=example_id,
        stratum=stratum,
        label=label,
        label_name=name,
        text=f"{name}, example {example_id}",
        place=_place(report, ledger, row, stratum),
        image=address(example_id),
        nearest=nearest if choices.forget_ids else "",
        nearest_image=address(nearest) if choices.forget_images else None,
        predictions=tuple(_predictions(report, ledger, row, label)),
    )


def _nearest(ledger: Ledger, row: int) -> str:
    column = ledger.columns.get("nearest_forget_id")
    return "" if column is None or column[row] is None else str(column[row])


def _place(report: AuditReport, ledger: Ledger, row: int, stratum: int) -> str:
    title = stratum_title(report.strata[stratum])
    proximity = number(float(ledger["proximity"][row]))
    return f"{ledger['population'][row]} set, stratum {title}, proximity {proximity}"


def _predictions(report: AuditReport, ledger: Ledger, row: int, label: int) -> Iterable[PredictionView]:
    for model in [*report.by_role("candidate", "original"), *report.by_role("reference")[:1]]:
        top = ledger.of_model(model.name, "top1")
        if top is None:
            continue
        predicted = int(top[row])
        confidence = ledger.of_model(model.name, "confidence")
        excess = ledger.of_model(model.name, "excess")
        yield PredictionView(
            model=model_title(model),
            predicts=report.data.class_names[predicted],
            wrong=predicted != label,
            confidence=percent(None if confidence is None else float(confidence[row]), 0),
            excess=NOTHING if excess is None else f"{excess[row]:.3f}".replace("-", MINUS),
        )


def menus(report: AuditReport, examples: tuple[ExampleView, ...]) -> tuple[tuple[Option, ...], tuple[Option, ...]]:
    """Return the choices of stratum and class that the shown examples have."""
    strata = sorted({example.stratum for example in examples})
    labels = sorted({example.label for example in examples})
    every = Option("", "all")
    return (
        (every, *(Option(str(s), stratum_title(report.strata[s])) for s in strata)),
        (every, *(Option(str(c), report.data.class_names[c]) for c in labels)),
    )
