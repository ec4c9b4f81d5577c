"""How right a plan is: what it says of an original before any audit, and what many retrained models say of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.plan import Plan, Prospect, make_plan
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool
from unlearn_audit.populations import FORGET

KNOWN = (0, 1, 2, 3)  # retrained models that a plan is given
DRAWS = 200


@dataclass(frozen=True)
class Foresight:
    """Plans of a pool's originals, given so many retrained models.

    Attributes:
        known: retrained models that they were given; 0: test examples.
        error: mean of what they say is memorised, less what is, in confidence.
        root_mean_square: of that error.
        covered: share whose bounds hold what is memorised.
        told: share of plans with a prospect.
        right: of these, the share whose prospect is that of the original against all retrained models: whether it
            knows the deleted examples better than tolerated. None if none has one.
    """

    known: int
    error: float
    root_mean_square: float
    covered: float
    told: float
    right: float | None


def foresights(pool: Pool, policy: Policy, rng: np.random.Generator) -> tuple[Foresight, ...]:
    """Plan audits of the pool's originals, each with retrained models drawn at random."""
    honest = np.stack([_confidence(pool, logits) for logits in pool.logits[HONEST]])
    return tuple(_foresight(pool, policy, honest, known, rng) for known in KNOWN)


def _foresight(pool: Pool, policy: Policy, honest: np.ndarray, known: int, rng: np.random.Generator) -> Foresight:
    forget = pool.population == FORGET
    plans, truths = [], []
    for place, logits in enumerate(pool.logits[ORIGINAL][: len(pool.proximity)]):
        confidence = _confidence(pool, logits)
        truth = float((confidence[forget] - honest[:, forget].mean(axis=0)).mean())
        for _ in range(DRAWS if known else 1):
            chosen = honest[rng.choice(len(honest), size=known, replace=False)]
            plans.append(_plan(pool, policy, place, logits, chosen if known else None))
            truths.append(truth)
    errors = np.array([plan.memorised for plan in plans]) - truths
    covered = [plan.lower <= truth <= plan.upper for plan, truth in zip(plans, truths, strict=True)]
    right = [
        _is_right(plan.prospect, truth, policy)
        for plan, truth in zip(plans, truths, strict=True)
        if plan.prospect != "cannot be told"
    ]
    return Foresight(
        known,
        float(errors.mean()),
        float(np.sqrt((errors**2).mean())),
        float(np.mean(covered)),
        len(right) / len(plans),
        float(np.mean(right)) if right else None,
    )


def _plan(pool: Pool, policy: Policy, place: int, logits: np.ndarray, known: np.ndarray | None) -> Plan:
    return make_plan(
        _confidence(pool, logits),
        logits.argmax(axis=1) == pool.labels,
        labels=pool.labels,
        population=pool.population,
        proximity=pool.proximity[place].astype(np.float64),
        class_names=[str(label) for label in range(logits.shape[1])],
        policy=policy,
        reference_confidence=known,
    )


def _is_right(prospect: Prospect, truth: float, policy: Policy) -> bool:
    return (prospect == "would fail") == (abs(truth) > policy.level)


def _confidence(pool: Pool, logits: np.ndarray) -> np.ndarray:
    """Return the confidence in the label (n,) float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True).astype(np.float64))
    return np.asarray(shifted[np.arange(len(shifted)), pool.labels] / shifted.sum(axis=1))
