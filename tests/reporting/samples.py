"""A realistic report and ledger, small and the same each time, for tests of what is shown."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from unlearn_audit.auditing.aggregate import AggregateFigures
from unlearn_audit.auditing.controls import Controls, check_controls
from unlearn_audit.auditing.membership import MembershipFigures, ReferenceGap
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.report import (
    AuditReport,
    DataRecord,
    ForgetRecord,
    MeasureRecord,
    ModelRecord,
    NeighbourhoodRecord,
    Provenance,
    Result,
    StratumRecord,
)
from unlearn_audit.auditing.statistics import Comparison, compare, pose
from unlearn_audit.auditing.verdict import Verdict, decide
from unlearn_audit.data.images import ImageData, Images
from unlearn_audit.populations import POPULATIONS

STRATA = ("nearest 20 %", "20-40 %", "40-60 %", "60-80 %", "farthest 20 %")
NUM_TRAIN, NUM_TEST, NUM_FORGET = 400, 100, 20
CANDIDATES = ("gradient_ascent", "random_labels", "local_teacher_distillation")
FLOOR = (8, 5, 3, 2, 1)
# Mean discrepancy, thousandths, nearest to farthest: what a run on digits found.
DISCREPANCY = {
    "gradient_ascent": (213, 90, 40, 25, 15),
    "random_labels": (45, 18, 9, 5, 2),
    "local_teacher_distillation": (8.4, 5.2, 3.1, 2.1, 1.05),
    "original": (13, 8, 5, 3, 2),
    "untrained": (750, 740, 760, 750, 740),
    "retrained-1": FLOOR,
    "retrained-2": FLOOR,
    "retrained-3": FLOOR,
    "retrained-4": FLOOR,
}
MEASURES = (
    MeasureRecord("js", "Jensen-Shannon divergence", 0.0, 1.0, "bits", False),
    MeasureRecord("confidence_gap", "confidence gap", -1.0, 1.0, "", True),
)


def make_report(*, class_names: tuple[str, ...] | None = None, **changes: object) -> AuditReport:
    """Return a report of three candidates, K = 4; `changes` replace its fields."""
    names = class_names or tuple("0123456789")
    fields = {
        "title": "Unlearning audit of digits",
        "policy": Policy(),
        "data": DataRecord("digits", "d" * 64, names),
        "forget_set": ForgetRecord(NUM_FORGET, "f" * 64, f"50 % of class {names[8]}, seed 0", {names[8]: NUM_FORGET}),
        "neighbourhood": NeighbourhoodRecord("centroid", "original", "quantiles", "5 quantiles of centroid proximity"),
        "strata": _strata(),
        "measures": MEASURES,
        "models": _models(),
        "results": _results(),
        "aggregate": _aggregate(),
        "membership": _membership(),
        "verdicts": _verdicts(),
        "controls": _controls(),
        "provenance": Provenance("2026-01-01T00:00:00Z", {"unlearn-audit": "0.1.0"}, "unlearn-audit demo", {"seed": 0}),
    }
    return AuditReport(**{**fields, **changes})


def _strata() -> tuple[StratumRecord, ...]:
    counts = {"retain": 76, "forget": 4, "test": 20}
    edges = [1.0, 0.9, 0.8, 0.6, 0.3, -1.0]
    return tuple(StratumRecord(i, label, edges[i + 1], edges[i], counts) for i, label in enumerate(STRATA))


def _models() -> tuple[ModelRecord, ...]:
    def model(name: str, role: str, seed: int, share: float, method: str | None = None) -> ModelRecord:
        return ModelRecord(name, role, f"models/{name}", f"{seed:064x}", method, seed, 60 * share, 8000, share, share)

    candidates = [
        model("gradient_ascent", "candidate", 0, 0.02, "gradient_ascent"),
        model("random_labels", "candidate", 0, 0.25, "random_labels"),
        model("local_teacher_distillation", "candidate", 0, 0.4, "local_teacher_distillation"),
    ]
    anchors = [model("original", "original", 0, 1.0), model("untrained", "untrained", 9, 0.0)]
    return (*candidates, *anchors, *(model(f"retrained-{k}", "reference", k, 1.0) for k in range(1, 5)))


def _results() -> tuple[Result, ...]:
    return tuple(
        Result(model, population, measure.name, _comparison(model, measure.signed))
        for model in DISCREPANCY
        for population in POPULATIONS
        for measure in MEASURES
    )


def _pairs() -> np.ndarray:
    """Return stratum means between references, (K, K, S): each a little nearer or farther than the floor."""
    between = np.asarray(FLOOR) / 1000 * np.ones((4, 4, 1))
    spread = np.random.default_rng(3).normal(0, 0.06, (4, 1, 1))
    return between * np.exp(spread + spread.transpose(1, 0, 2))


def _comparison(model: str, signed: bool) -> Comparison:
    counts = np.full(len(STRATA), 76)
    references = _pairs()
    if model.startswith("retrained"):
        candidate, references = pose(references, int(model[-1]) - 1)
    else:
        means = np.asarray(DISCREPANCY[model]) / 1000
        candidate = means * np.exp(np.random.default_rng(4).normal(0, 0.05, (1, 4, 1)))
    return compare(candidate, references, counts=counts, zero_floor=signed)


def _by_population(model: str) -> dict[str, Comparison]:
    return {population: _comparison(model, False) for population in POPULATIONS}


def _controls() -> Controls:
    posing = {f"retrained-{k}": _by_population(f"retrained-{k}") for k in range(1, 5)}
    return check_controls(
        Policy(), references=posing, original=_by_population("original"), untrained=_by_population("untrained")
    )


def _verdicts() -> dict[str, Verdict]:
    return {name: decide(Policy(), _by_population(name), controls=_controls()) for name in CANDIDATES}


def _aggregate() -> dict[str, AggregateFigures]:
    accuracies = {
        "gradient_ascent": (0.951, 0.614, 0.933),
        "random_labels": (0.997, 0.9, 0.972),
        "untrained": (0.101, 0.05, 0.1),
    }
    figures = {}
    for name in DISCREPANCY:
        retain, forget, test = accuracies.get(name, (0.999, 0.971, 0.978))
        figures[name] = AggregateFigures(retain, forget, test, 1 - forget, 0.01, 0.97)
    return figures


def _membership() -> dict[str, MembershipFigures]:
    aucs = {"gradient_ascent": 0.31, "random_labels": 0.44, "original": 0.66}
    figures = {}
    for name in DISCREPANCY:
        auc = aucs.get(name, 0.5)
        gap = ReferenceGap(auc, 0.5, auc - 0.5, -0.05, 0.05, abs(auc - 0.5) < 0.05)
        figures[name] = MembershipFigures({"confidence": gap}, 0.1, auc, gap, refused="fewer than 16 models")
    return figures


def make_ledger() -> pa.Table:
    """Return the ledger of `make_report()`: 400 training examples, 20 of them forgotten, and 100 of test."""
    generator = np.random.default_rng(0)
    n = NUM_TRAIN + NUM_TEST
    rows = np.arange(n)
    labels = rows % 10
    is_test = rows >= NUM_TRAIN
    forget = ~is_test & (labels == 8) & (rows < 200)
    stratum = generator.integers(0, 5, n)
    floor = np.asarray(FLOOR)[stratum] / 1000
    columns = {
        "example_id": [f"test-{r - NUM_TRAIN}" if t else f"train-{r}" for r, t in zip(rows, is_test, strict=True)],
        "split": np.where(is_test, "test", "train"),
        "population": np.where(is_test, "test", np.where(forget, "forget", "retain")),
        "label": labels,
        "proximity": (1 - 0.2 * stratum - 0.2 * generator.random(n)).astype(np.float32),
        "stratum": stratum.astype(np.int16),
        "floor": floor,
        "nearest_forget_id": [f"train-{8 + 10 * (r % 20)}" for r in rows],
    }
    for name, values in DISCREPANCY.items():
        found = np.asarray(values)[stratum] / 1000 * generator.exponential(1.0, n)
        wrong = found > 0.1
        columns[f"{name}.top1"] = np.where(wrong, (labels + 1) % 10, labels).astype(np.int32)
        columns[f"{name}.confidence"] = np.clip(1 - found, 0, 1).astype(np.float32)
        columns[f"{name}.discrepancy"] = found
        columns[f"{name}.excess"] = found - floor
    return pa.table(columns)


def make_images(size: int = 8) -> ImageData:
    """Return pictures that fit `make_ledger()`: each shows its label as a row of bright pixels."""

    def split(name: str, count: int) -> Images:
        labels = np.arange(count) % 10
        pixels = np.random.default_rng(count).integers(0, 80, (count, size, size, 3), dtype=np.uint8)
        pixels[np.arange(count), labels % size] = 230
        ids = np.asarray([f"{name}-{row}" for row in range(count)])
        return Images("digits", name, ids, pixels, labels, tuple("0123456789"))

    return ImageData("digits", split("train", NUM_TRAIN), split("test", NUM_TEST))
