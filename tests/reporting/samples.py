"""A realistic report and ledger, small and the same each time, for tests of what is shown."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from unlearn_audit.auditing.aggregate import AggregateFigures
from unlearn_audit.auditing.controls import Controls, check_controls
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.judgement import Judgement, judge
from unlearn_audit.auditing.membership import MembershipFigures, ReferenceGap
from unlearn_audit.auditing.policy import FirstPolicy, Policy
from unlearn_audit.auditing.questions import GroupFigures
from unlearn_audit.auditing.report import (
    AuditReport,
    DataRecord,
    ForgetRecord,
    GroupRecord,
    MeasureRecord,
    ModelRecord,
    NeighbourhoodRecord,
    Provenance,
    Result,
    StratumRecord,
)
from unlearn_audit.auditing.statistics import Comparison, compare, pose
from unlearn_audit.auditing.verdict import Verdict, verdict_of
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
# Group: question, examples, level of retrained models, their discrepancy in thousandths of a bit.
GROUPS: dict[str, tuple[Question, int, float, float]] = {
    "forget": ("forgotten", NUM_FORGET, 0.60, 90),
    "nearest_retain": ("neighbours", 50, 0.97, 30),
    "near_retain": ("neighbours", 76, 0.98, 20),
    "same_class_retain": ("neighbours", 60, 0.96, 25),
    "near_test": ("neighbours", 50, 0.85, 60),
    "other_retain": ("rest", 280, 0.99, 10),
    "other_test": ("rest", 50, 0.93, 40),
}
# By group, in the order of GROUPS: level, and discrepancy in thousandths of a bit.
JUDGED = {
    "gradient_ascent": ((0.31, 0.80, 0.84, 0.79, 0.70, 0.96, 0.90), (290, 213, 170, 190, 160, 40, 52)),
    "random_labels": ((0.61, 0.93, 0.95, 0.92, 0.84, 0.985, 0.93), (230, 140, 80, 95, 66, 14, 41)),
    "local_teacher_distillation": ((0.648, 0.97, 0.98, 0.96, 0.85, 0.99, 0.93), (112, 33, 21, 26, 63, 10.5, 42)),
    "original": ((0.98, 0.98, 0.985, 0.97, 0.86, 0.99, 0.93), (240, 31, 21, 26, 64, 10, 41)),
    "untrained": ((0.1,) * 7, (750,) * 7),
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
        "judgements": _judgements(),
        "groups": tuple(GroupRecord(name, group[0], group[1]) for name, group in GROUPS.items()),
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


def group_figures(model: str) -> list[GroupFigures]:
    """Return what the questions look at for a model of `JUDGED` or a reference posing, in the groups of `GROUPS`."""
    generator = np.random.default_rng(5)
    found = []
    for place, (name, (question, count, level, floor)) in enumerate(GROUPS.items()):
        levels = level + 0.004 * generator.normal(size=4)
        spread = generator.normal(0, 0.04, (4, 1))
        between = floor / 1000 * np.exp(spread + spread.T)
        if model in JUDGED:
            mine, far = JUDGED[model][0][place], JUDGED[model][1][place] / 1000
            candidate, apart = np.array([mine]), far * np.exp(generator.normal(0, 0.04, (1, 4)))
        else:
            k = int(model[-1]) - 1
            far, candidate, apart = floor / 1000, levels[[k]], np.delete(between[[k]], k, axis=1)
            levels, between = np.delete(levels, k), np.delete(np.delete(between, k, 0), k, 1)
        found.append(GroupFigures(name, question, count, candidate, levels, apart, between, far / 2, floor / 2000))
    return found


def _judgements() -> dict[str, Judgement]:
    original = group_figures("original")
    return {
        name: judge(group_figures(name), Policy(), original=original if name in CANDIDATES else ()) for name in JUDGED
    }


def _controls() -> Controls:
    strict = Policy(alpha=Policy().alpha / 4)
    judged = _judgements()
    return check_controls(
        references={f"retrained-{k}": judge(group_figures(f"retrained-{k}"), strict) for k in range(1, 5)},
        original=judged["original"],
        untrained=judged["untrained"],
    )


def _verdicts() -> dict[str, Verdict]:
    return {name: verdict_of(judgement) for name, judgement in _judgements().items() if name in CANDIDATES}


def make_first_report() -> AuditReport:
    """Return a report as the first version wrote it: one distance, a verdict a candidate, and no judgements."""
    told = "On the nearest retain examples it is at 26.6 times the noise floor of 4 retrained models."
    return make_report(
        policy=FirstPolicy("js", ("retain", "forget"), "nearest", 0.0005, 0.25, 0.05),
        verdicts={name: Verdict("fail", told, 4) for name in CANDIDATES},
        judgements={},
        groups=(),
        schema_version=1,
    )


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


@functools.cache
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
    confidences = [columns[f"retrained-{k}.confidence"] for k in range(1, 5)]
    for name in (*CANDIDATES, "original"):
        known = columns[f"{name}.confidence"] - np.mean(confidences, axis=0)
        columns[f"{name}.remembered"] = pa.array(known.astype(np.float32), mask=~forget)
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
