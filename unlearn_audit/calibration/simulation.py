"""Simulated audits: a random-effects model in which some models are further from all others than most."""

from __future__ import annotations

import numpy as np

from unlearn_audit.calibration.draws import Draws

EFFECTS = ("normal", "exponential", "log-normal", "t with 4 degrees of freedom")
FLOORS = np.array([0.006, 0.002, 0.03])  # nearest fifth of the retain set, the rest of it, forget set
COUNTS = np.array([300, 1100])
CORRELATION = 0.6  # of a model's effects between groups, as measured on digits
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
    groups = len(FLOORS)
    shared = _effects(effects, (draws, k + 1, 1), rng)
    own = _effects(effects, (draws, k + 1, groups), rng)
    a = spread * (np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own)
    noise = np.triu(rng.normal(size=(draws, groups, k + 1, k + 1)), 1).transpose(0, 2, 3, 1)
    logs = a[:, :, None] + a[:, None] + spread * PAIR_SPREAD * (noise + noise.transpose(0, 2, 1, 3))
    distance = np.exp(logs) * FLOORS * ~np.eye(k + 1, dtype=bool)[..., None]
    counts = np.broadcast_to(COUNTS, (draws, len(COUNTS)))
    return Draws(distance[:, k, :k], distance[:, :k, :k], counts, np.arange(draws), np.zeros(draws, np.int64))


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
