"""Simulated audits: a random-effects model in which some models are further from all others than most."""

from __future__ import annotations

import numpy as np

from unlearn_audit.calibration.draws import Draw

EFFECTS = ("normal", "exponential", "log-normal", "t with 4 degrees of freedom")
FLOORS = {"retain": np.array([0.006, 0.002]), "forget": np.array([0.03])}  # nearest fifth and the rest; forget set
COUNTS = {"retain": np.array([300, 1100]), "forget": np.array([70])}
CORRELATION = 0.6  # of a model's effects between groups, as measured on digits
PAIR_SPREAD = 0.1  # standard deviation of the log discrepancy of a pair, beside its two models' effects


def simulate(k: int, spread: float, effects: str, rng: np.random.Generator) -> Draw:
    """Draw an audit of an honest candidate: log d(i, j) = log floor + a_i + a_j + pair noise, in each group.

    Args:
        k: references.
        spread: standard deviation of the model effects a.
        effects: their distribution, one of `EFFECTS`; scaled to mean 0 and variance 1 before `spread`.
        rng: randomness.
    """
    groups = sum(len(floors) for floors in FLOORS.values())
    shared, own = _effects(effects, (k + 1, 1), rng), _effects(effects, (k + 1, groups), rng)
    a = spread * (np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own)
    noise = np.triu(rng.normal(size=(groups, k + 1, k + 1)), 1).transpose(1, 2, 0)
    logs = a[:, None] + a[None, :] + PAIR_SPREAD * (noise + noise.transpose(1, 0, 2))
    distance = np.exp(logs) * np.concatenate(list(FLOORS.values()))
    first = len(FLOORS["retain"])
    parts = {"retain": slice(None, first), "forget": slice(first, None)}
    candidate = {p: distance[None, k, :k, part] for p, part in parts.items()}
    references = {p: distance[:k, :k, part] for p, part in parts.items()}
    return Draw(candidate, references, COUNTS, model=int(rng.integers(2**31)))


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
