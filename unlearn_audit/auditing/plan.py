"""What an audit could tell, before anything is spent on it: from the original's predictions alone.

A plan screens. It never passes anything: what retraining would do is not known before it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES, StandardErrors
from unlearn_audit.auditing._settling import detectable_difference
from unlearn_audit.auditing.groups import NEAR_SHARE
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import AuditError
from unlearn_audit.populations import FORGET, RETAIN, TEST

Prospect = Literal["would fail", "might pass", "cannot be told"]
# Spread between retrained models of mean confidence on the forget set, in the calibration's pools: the least and the
# greatest. It is what can be said of K references before there are two of them.
USUAL_SPREAD = (0.006, 0.028)
NUM_REFERENCES = (3, 4, 5, 8)
FINDINGS = 6  # that the level of the forget set counts as in the correction: 18 weights, 3 of them its own
MATCHED = 10  # held-out examples of its class, the nearest in proximity, that a deleted example is compared with


@dataclass(frozen=True)
class Neighbours:
    """A class among the nearest tenth of the retained examples: its name, how many of them, and of how many in all."""

    class_name: str
    near: int
    total: int


@dataclass(frozen=True)
class Detectable:
    """The least difference of mean confidence on the forget set that K references would show in 80 % of audits."""

    num_references: int
    least: float
    most: float
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What can be known before retraining.

    Attributes:
        forget_size: deleted examples.
        confidence: the original's mean confidence in their label.
        held_out_confidence: its mean confidence on comparable test examples: of the same class, and as near.
        memorised: the difference: what the model knows of them beyond others like them.
        lower: 95 % lower bound of the difference, over examples.
        upper: 95 % upper bound.
        expected_from: what the held-out confidence comes from: test examples, or retrained models.
        recognised: deleted examples that the original classifies correctly.
        prospect: what an audit would say of the original itself, which was not touched.
        neighbours: classes of the nearest retained examples, the most frequent first.
        detectable: by number of references; `least` and `most` where their spread is as small or as large as in our
            pools, both the same where it is known from retrained models.
    """

    forget_size: int
    confidence: float
    held_out_confidence: float
    memorised: float
    lower: float
    upper: float
    expected_from: str
    recognised: int
    prospect: Prospect
    neighbours: tuple[Neighbours, ...]
    detectable: tuple[Detectable, ...]


def make_plan(
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    labels: np.ndarray,
    population: np.ndarray,
    proximity: np.ndarray,
    class_names: Sequence[str],
    policy: Policy,
    reference_confidence: np.ndarray | None = None,
    seconds: float | None = None,
) -> Plan:
    """Plan an audit of n examples.

    Args:
        confidence: (n,) the original's confidence in the label.
        correct: (n,) bool, whether it predicts the label.
        labels: (n,) classes.
        population: (n,) int, index into `POPULATIONS`.
        proximity: (n,) larger is nearer to the forget set.
        class_names: c names.
        policy: what is tolerated, and alpha.
        reference_confidence: (K, n) of retrained models, if there are some already.
        seconds: that one retraining takes.

    Raises:
        AuditError: without test examples and without retrained models, or without a forget set.
    """
    forget = np.flatnonzero(population == FORGET)
    if not len(forget):
        raise AuditError("Expected a forget set with at least one example, got none.")
    expected, source = _expected(confidence, labels, population, proximity, forget, reference_confidence)
    gaps = confidence[forget] - expected
    error = _error(gaps, reference_confidence, forget)
    lower, upper = float(gaps.mean() - 1.96 * error), float(gaps.mean() + 1.96 * error)
    return Plan(
        forget_size=len(forget),
        confidence=float(confidence[forget].mean()),
        held_out_confidence=float(expected.mean()),
        memorised=float(gaps.mean()),
        lower=lower,
        upper=upper,
        expected_from=source,
        recognised=int(correct[forget].sum()),
        prospect=_prospect(lower, upper, policy.level),
        neighbours=_neighbours(labels, population, proximity, class_names),
        detectable=_detectable(policy, reference_confidence, forget, seconds),
    )


def _expected(
    confidence: np.ndarray,
    labels: np.ndarray,
    population: np.ndarray,
    proximity: np.ndarray,
    forget: np.ndarray,
    reference_confidence: np.ndarray | None,
) -> tuple[np.ndarray, str]:
    """Return for each deleted example (f,) the confidence to expect of a model that never saw it, and from what."""
    if reference_confidence is not None and len(reference_confidence):
        return reference_confidence[:, forget].mean(axis=0), f"{len(reference_confidence)} retrained models"
    held_out = np.flatnonzero(population == TEST)
    if not len(held_out):
        raise AuditError(
            "Expected test examples of the original to compare the deleted ones with, or retrained models, got neither."
        )
    found = np.empty(len(forget))
    for place, row in enumerate(forget):
        same = held_out[labels[held_out] == labels[row]]
        pool = same if len(same) else held_out
        nearest = pool[np.argsort(np.abs(proximity[pool] - proximity[row]), kind="stable")[:MATCHED]]
        found[place] = confidence[nearest].mean()
    return found, "test examples of the same classes, as near"


def _error(gaps: np.ndarray, reference_confidence: np.ndarray | None, forget: np.ndarray) -> float:
    """Return the standard error of the mean gap: over examples, and over retrained models if there are several."""
    examples = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else 1.0
    if reference_confidence is None or len(reference_confidence) < 2:
        return float(examples)
    levels = reference_confidence[:, forget].mean(axis=1)
    return float(levels.std(ddof=1) / np.sqrt(len(levels)))


def _prospect(lower: float, upper: float, tolerance: float) -> Prospect:
    if lower > tolerance:
        return "would fail"
    return "might pass" if upper <= tolerance else "cannot be told"


def _neighbours(
    labels: np.ndarray, population: np.ndarray, proximity: np.ndarray, class_names: Sequence[str]
) -> tuple[Neighbours, ...]:
    retained = np.flatnonzero(population == RETAIN)
    count = max(1, round(NEAR_SHARE["retain"] * len(retained)))
    near = retained[np.argsort(-proximity[retained], kind="stable")[:count]]
    classes, sizes = np.unique(labels[near], return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    return tuple(
        Neighbours(class_names[classes[i]], int(sizes[i]), int((labels[retained] == classes[i]).sum())) for i in order
    )


def _detectable(
    policy: Policy, reference_confidence: np.ndarray | None, forget: np.ndarray, seconds: float | None
) -> tuple[Detectable, ...]:
    spreads = USUAL_SPREAD
    if reference_confidence is not None and len(reference_confidence) >= MIN_REFERENCES:
        known = float(reference_confidence[:, forget].mean(axis=1).std(ddof=1))
        spreads = (known, known)
    return tuple(
        Detectable(
            num_references=k,
            least=_least_seen(spreads[0], k, policy),
            most=_least_seen(spreads[1], k, policy),
            seconds=None if seconds is None else k * seconds,
        )
        for k in NUM_REFERENCES
    )


def _least_seen(spread: float, k: int, policy: Policy) -> float:
    errors = StandardErrors(spread * float(np.sqrt(1 + 1 / k)), k - 1, spread / float(np.sqrt(k)), k - 1)
    return detectable_difference(errors, policy.level, policy.alpha, policy.alpha / (2 * FINDINGS))
