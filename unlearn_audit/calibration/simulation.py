"""Simulated audits: a random-effects model in which some models are further from all others than most."""

from __future__ import annotations

import numpy as np

from unlearn_audit.calibration.draws import Draws

EFFECTS = ("normal", "exponential", "log-normal", "t with 4 degrees of freedom")
FLOORS = np.array([0.006, 0.002, 0.03])  # nearest fifth of the retain set, the rest of it, forget set
COUNTS = np.array([300, 1100])
CORRELATION = 0.6  # of a model's effects between groups, as measured on digits
WELL_WITHIN = 0.7  # ratio of a candidate in the groups where nothing is wrong
MANY = 200_000  # model effects, to know their mean
PAIR_SPREAD = 2 / 3  # of a pair's log discrepancy, beside its two models' effects, as a share of their spread


def simulate(k: int, spread: float, effects: str, draws: int, rng: np.random.Generator) -> Draws:
    """Draw audits of honest candidates: log d(i, j) = log floor + a_i + a_j + pair noise, in each group.

    Args:
        k: references.
        spread: standard deviation of the model effects a.
        effects: their distribution, one of `EFFECTS`; scaled to mean 0 and variance 1 before `spread`.
        draws: how many audits.
        rng: randomness.
    """
    spreads = np.full(len(FLOORS), spread)
    return _audits(_model_effects(effects, spreads, (draws, k + 1), rng), spreads, rng)


def simulate_at_tolerance(
    k: int,
    spreads: tuple[float, ...],
    effects: str,
    draws: int,
    rng: np.random.Generator,
    *,
    group: int,
    relative: float,
) -> Draws:
    """Draw audits of candidates whose ratio is exactly the tolerated one in a single group, and low in the others.

    Nothing is harder not to pass: a candidate that is further away, or in more groups, passes less often.

    Args:
        k, effects, draws, rng: as for `simulate`.
        spreads: standard deviation of the model effects in each of the three groups.
        group: the one at the tolerance.
        relative: the tolerated excess, as a share of the floor.
    """
    spread = np.asarray(spreads)
    a = _model_effects(effects, spread, (draws, k + 1), rng)
    ratio = np.where(np.arange(len(FLOORS)) == group, 1 + relative, WELL_WITHIN)
    # With endless references D / F is exp(a_u) over the mean of exp(a).
    a[:, k] = np.log(ratio) + np.log(np.exp(_model_effects(effects, spread, (MANY,), rng)).mean(axis=0))
    return _audits(a, spread, rng)


def _audits(a: np.ndarray, spreads: np.ndarray, rng: np.random.Generator) -> Draws:
    """Return audits from model effects (draws, K + 1, G), the candidate's last."""
    draws, models, groups = a.shape
    k = models - 1
    noise = np.triu(rng.normal(size=(draws, groups, models, models)), 1).transpose(0, 2, 3, 1)
    logs = a[:, :, None] + a[:, None] + spreads * PAIR_SPREAD * (noise + noise.transpose(0, 2, 1, 3))
    distance = np.exp(logs) * FLOORS * ~np.eye(models, dtype=bool)[..., None]
    counts = np.broadcast_to(COUNTS, (draws, len(COUNTS)))
    return Draws(distance[:, k, :k], distance[:, :k, :k], counts, np.arange(draws), np.zeros(draws, np.int64))


def _model_effects(name: str, spreads: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return effects (*shape, G), correlated between groups."""
    shared = _effects(name, (*shape, 1), rng)
    own = _effects(name, (*shape, len(spreads)), rng)
    return spreads * (np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own)


def _effects(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if name == "normal":
        return rng.normal(size=shape)
    if name == "exponential":
        return rng.exponential(size=shape) - 1
    if name == "log-normal":
        sigma = 0.75
        mean, variance = np.exp(sigma**2 / 2), (np.exp(sigma**2) - 1) * np.exp(sigma**2)
        return (rng.lognormal(sigma=sigma, size=shape) - mean) / np.sqrt(variance)
    return rng.standard_t(4, size=shape) / np.sqrt(2)
