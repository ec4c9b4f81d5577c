"""An audit's figures from predictions, against reading its files once and against straightforward NumPy."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.made_up import request_for, write_models
from tests.benchmarks.measuring import Ratio, compare
from unlearn_audit.auditing.discrepancy import discrepancies, members_of
from unlearn_audit.measures import registry
from unlearn_audit.predictions import Predictions, PredictionsFile
from unlearn_audit.saved.running import run_audit

EXAMPLES, CLASSES, REFERENCES, GROUPS = 50_000, 100, 5, 30
PLAIN_EXAMPLES = 10_000  # for plain NumPy, which takes minutes for all


def run() -> list[Ratio]:
    """Measure 8 models (candidate, original, untrained, 5 retrained) by all measures in 3 populations × 10 strata."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder, examples=EXAMPLES, classes=CLASSES, references=REFERENCES, dtype=np.float32)
        return _run(folder)


def _run(folder: Path) -> list[Ratio]:
    names = ["candidate", "original", "untrained", *(f"retrained-{k}" for k in range(REFERENCES))]
    files = [PredictionsFile(folder / f"{name}.parquet") for name in names]
    loaded = [Predictions.load(file.path) for file in files]
    group = np.random.default_rng(0).integers(0, GROUPS, EXAMPLES)
    members = members_of(group, GROUPS)
    measures = [registry.create(name) for name in registry.names()]
    few = [found_of(found, slice(PLAIN_EXAMPLES)) for found in loaded]
    size = f"{EXAMPLES:,} x {CLASSES}, K = {REFERENCES}"
    reading = {"reading the files once": (lambda: [Predictions.load(file.path) for file in files], 1 / 3)}
    return [
        *compare(
            f"all measures, all strata, in memory: {PLAIN_EXAMPLES:,} x {CLASSES}, K = {REFERENCES}",
            lambda: discrepancies(few[:3], few[3:], members[:PLAIN_EXAMPLES], measures),
            {"straightforward NumPy": (lambda: plain(few[:3], few[3:], group[:PLAIN_EXAMPLES]), 10)},
            repeats=2,
        ),
        *compare(
            f"all measures, all strata, from files: {size}",
            lambda: discrepancies(files[:3], files[3:], members, measures),
            reading,
        ),
        *compare(
            f"the whole audit from files, with controls and membership attacks: {size}",
            lambda: run_audit(request_for(folder, REFERENCES), base=folder),
            reading,
            repeats=3,
        ),
    ]


def found_of(found: Predictions, rows: slice) -> Predictions:
    """Return the predictions of the given rows."""
    return Predictions(found.example_ids[rows], found.splits[rows], found.labels[rows], found.logits[rows])


def plain(models: list[Predictions], references: list[Predictions], group: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the same group means as it is written first: a function a measure, on whole arrays, a pair at a time."""
    pairs = [*itertools.product(models, references), *itertools.permutations(references, 2)]
    return {name: np.array([_group_means(measure(a, b), group) for a, b in pairs]) for name, measure in PLAIN.items()}


def _group_means(values: np.ndarray, group: np.ndarray) -> list[float]:
    return [values[group == g].mean() for g in range(GROUPS)]


def _softmax(found: Predictions) -> np.ndarray:
    logits = found.logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300))).sum(axis=1)


def _js(a: Predictions, b: Predictions) -> np.ndarray:
    p, q = _softmax(a), _softmax(b)
    return (_kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)) / 2 / np.log(2)


def _label(found: Predictions) -> np.ndarray:
    return _softmax(found)[np.arange(len(found)), found.labels]


def _margin(found: Predictions) -> np.ndarray:
    return np.log(_label(found)) - np.log1p(-_label(found))


def _right(found: Predictions) -> np.ndarray:
    return found.logits.argmax(axis=1) == found.labels


PLAIN = {
    "js": _js,
    "tv": lambda a, b: np.abs(_softmax(a) - _softmax(b)).sum(axis=1) / 2,
    "kl": lambda a, b: _kl(_softmax(b), _softmax(a)),
    "disagreement": lambda a, b: a.logits.argmax(axis=1) != b.logits.argmax(axis=1),
    "confidence_gap": lambda a, b: _label(b) - _label(a),
    "margin_gap": lambda a, b: np.abs(_margin(a) - _margin(b)),
    "consensus_flip": lambda a, b: _right(a) != _right(b),
}
