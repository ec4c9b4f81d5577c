"""Candidates made to deceive an audit, from the predictions of honest models: damage where averages do not look.

Each maps honest logits (n, c) to those of a candidate that should not pass. They are predictions, not models: what is
to be shown is that no such predictions pass, however a model may have come to make them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unlearn_audit.calibration.pool import HONEST, Pool
from unlearn_audit.populations import FORGET, RETAIN

NEAREST = 50
NOISE = 2.0  # standard deviation of the noise on the mean of the retrained models' log-probabilities, in nats
TEMPERATURE = 2.0
REMAINING = 0.02  # share of the label's probability that an over-forgotten example keeps

Deceiver = Callable[[Pool, np.ndarray, int, np.random.Generator], np.ndarray]


def damaged_nearest(pool: Pool, logits: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """Predict wrongly on the 50 retained examples nearest to the forget set, and nowhere else."""
    retained = np.flatnonzero(pool.population == RETAIN)
    nearest = retained[np.argsort(-pool.proximity[place][retained], kind="stable")[:NEAREST]]
    return _with(logits, nearest, np.roll(logits[nearest], 1, axis=1))


def damaged_class(pool: Pool, logits: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """Be half wrong on the other retained examples of the deleted class, and nowhere else."""
    lost = np.isin(pool.labels, np.unique(pool.labels[pool.population == FORGET]))
    rows = np.flatnonzero((pool.population == RETAIN) & lost)
    right = _probabilities(logits[rows])
    return _with(logits, rows, _log((right + np.roll(right, 1, axis=1)) / 2))


def level_matched(pool: Pool, logits: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """Keep the confidence in the label of each deleted example, and give the rest to other classes than it should."""
    rows = np.flatnonzero(pool.population == FORGET)
    labels, every = pool.labels[rows], np.arange(len(rows))
    right = _probabilities(logits[rows])
    others = np.roll(right, 3, axis=1)
    others[every, labels] = 0
    others *= (1 - right[every, labels, None]) / np.maximum(others.sum(axis=1, keepdims=True), 1e-12)
    others[every, labels] = right[every, labels]
    return _with(logits, rows, _log(others))


def over_forgotten(pool: Pool, logits: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """Recognise the deleted examples far worse than a model that never saw them."""
    rows = np.flatnonzero(pool.population == FORGET)
    changed = np.array(logits[rows], dtype=np.float64)
    changed[np.arange(len(rows)), pool.labels[rows]] += np.log(REMAINING)
    return _with(logits, rows, changed)


def mean_with_noise(pool: Pool, logits: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """Match every level on average: the mean of all retrained models, with noise on each prediction."""
    mean = np.mean([_probabilities(found) for found in pool.logits[HONEST]], axis=0)
    return _log(mean) + NOISE * rng.standard_normal(mean.shape)


def softened(pool: Pool, logits: np.ndarray, place: int, rng: np.random.Generator) -> np.ndarray:
    """Decide as an honest model does, with another confidence: its logits divided by a temperature."""
    return np.asarray(logits, np.float64) / TEMPERATURE


DECEIVERS: dict[str, Deceiver] = {
    "damaged on the 50 nearest": damaged_nearest,
    "damaged on its class": damaged_class,
    "level without pattern": level_matched,
    "over-forgotten": over_forgotten,
    "mean with noise": mean_with_noise,
    "temperature": softened,
}


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True).astype(np.float64))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, 1e-12))


def _with(logits: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    changed = np.array(logits, dtype=np.float64)
    changed[rows] = values
    return changed
