"""What an audit could tell, before anything is spent on it: from the original's predictions alone.

A plan screens. It never passes anything: what retraining would do is not known before it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unlearn_audit.auditing._scores import FEW_DF, MIN_COUNT, MIN_REFERENCES, PRIOR_DF, StandardErrors, critical_value
from unlearn_audit.auditing._settling import detectable_difference
from unlearn_audit.auditing.groups import NEAR_SHARE
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import AuditError
from unlearn_audit.populations import FORGET, RETAIN, TEST

Prospect = Literal["would fail", "might pass", "cannot be told"]
# Spread between retrained models of mean confidence on the forget set, in the calibration's pools: the least and the
# greatest. It is what can be said of K references before there are two of them.
USUAL_SPREAD = (0.006, 0.031)
EXAMPLE_SPREAD = 0.31  # the same of one deleted example: 95 % of those in the pools spread less
NUM_REFERENCES = (3, 4, 5, 8)
FINDINGS = 6  # that the level of the forget set counts as in the correction: 18 weights, 3 of them its own
THINNED = 0.1  # share of a class beyond which its deletion changes what models know of the rest of it
MATCHED = 10  # held-out examples of its class, the nearest in proximity, that a deleted example is compared with
SHOWN_NEIGHBOURS = 5
NEXT = "Three retrained models, given as references, say more: test examples may be known better than these would be."
CAVEAT = "This screens the original and passes nothing: only an audit with retrained models can."


@dataclass(frozen=True)
class Neighbours:
    """A class among the nearest tenth of the retained examples: its name, how many of them, and of how many in all."""

    class_name: str
    near: int
    total: int


@dataclass(frozen=True)
class Detectable:
    """The least difference of mean confidence on the forget set that K references would show in 80 % of audits.

    1 stands for none: confidences cannot differ by more. `seconds` is what these references cost.
    """

    num_references: int
    least: float
    most: float
    seconds: float | None


@dataclass(frozen=True, repr=False)
class Plan:
    """What can be known before retraining. It prints as a few sentences.

    Attributes:
        forget_size: deleted examples.
        confidence: the original's mean confidence in their label.
        held_out_confidence: its mean confidence on comparable test examples, of the same class, and as near; or the
            retrained models' on the deleted examples.
        memorised: the difference: what the model knows of them beyond others like them. By test examples it is too
            small where many examples of a class are deleted, since retrained models then know the whole class less.
        lower: 95 % lower bound of the difference: over retrained models where there are any (one may be as far off as
            any in our pools), else over examples.
        upper: 95 % upper bound.
        tolerance: of such a difference, as the policy states it.
        known_references: retrained models that the held-out confidence comes from; 0: test examples.
        recognised: deleted examples that the original classifies correctly.
        prospect: what an audit would say of the original itself, which was not touched.
        neighbours: classes of the nearest retained examples, the most frequent first.
        detectable: by number of references; `least` and `most` where their spread is as small or as large as in our
            pools, or as few examples let it be, both the same where it is known from retrained models.
    """

    forget_size: int
    confidence: float
    held_out_confidence: float
    memorised: float
    lower: float
    upper: float
    tolerance: float
    known_references: int
    recognised: int
    prospect: Prospect
    neighbours: tuple[Neighbours, ...]
    detectable: tuple[Detectable, ...]

    def __repr__(self) -> str:
        return "\n".join(plan_sentences(self))


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
    known = np.empty((0, len(forget))) if reference_confidence is None else reference_confidence[:, forget]
    if len(known):
        expected, shared = known.mean(axis=0), 0.0
    else:
        expected, shared = _held_out(confidence, labels, population, proximity)
    gaps = confidence[forget] - expected
    lower, upper = _bounds(gaps, known, shared)
    return Plan(
        forget_size=len(forget),
        confidence=float(confidence[forget].mean()),
        held_out_confidence=float(expected.mean()),
        memorised=float(gaps.mean()),
        lower=lower,
        upper=upper,
        tolerance=policy.level,
        known_references=len(known),
        recognised=int(correct[forget].sum()),
        prospect=_prospect(lower, upper, policy.level, not len(known) and _thinned(labels, population)),
        neighbours=_neighbours(labels, population, proximity, class_names),
        detectable=_detectable(policy, known, len(forget), seconds),
    )


def _held_out(
    confidence: np.ndarray, labels: np.ndarray, population: np.ndarray, proximity: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the mean confidence (f,) on the test examples most like each deleted one, and its mean's standard error.

    The same test examples are compared with several deleted ones, so that the error weighs each by how often it is.
    """
    held_out = np.flatnonzero(population == TEST)
    if not len(held_out):
        raise AuditError(
            "Expected test examples of the original to compare the deleted ones with, or retrained models, got neither."
        )
    forget = np.flatnonzero(population == FORGET)
    found, weight = np.empty(len(forget)), np.zeros(len(confidence))
    for place, row in enumerate(forget):
        same = held_out[labels[held_out] == labels[row]]
        pool = same if len(same) else held_out
        nearest = pool[np.argsort(np.abs(proximity[pool] - proximity[row]), kind="stable")[:MATCHED]]
        found[place] = confidence[nearest].mean()
        weight[nearest] += 1 / (len(nearest) * len(forget))
    return found, float(np.sqrt((weight**2 * (confidence - found.mean()) ** 2).sum()))


def _bounds(gaps: np.ndarray, known: np.ndarray, shared: float) -> tuple[float, float]:
    """Return 95 % bounds of the mean of the gaps (f,), by Student's t; a gap is never beyond -1 and 1.

    Args:
        gaps: confidence less what is expected.
        known: (K, f) confidence of retrained models; with two of them, their spread says what is uncertain, and one
            might be as far from the others as they ever are in our pools.
        shared: standard error of the mean of what is expected.
    """
    if len(known) > 1:
        levels = known.mean(axis=1)
        width = critical_value(0.025, len(levels) - 1) * levels.std(ddof=1) / np.sqrt(len(levels))
    elif len(known) == 1:
        width = critical_value(0.025, np.inf) * _greatest_spread(len(gaps))
    elif len(gaps) > 1:
        width = critical_value(0.025, len(gaps) - 1) * np.hypot(gaps.std(ddof=1) / np.sqrt(len(gaps)), shared)
    else:
        return -1.0, 1.0
    return max(-1.0, float(gaps.mean() - width)), min(1.0, float(gaps.mean() + width))


def _prospect(lower: float, upper: float, tolerance: float, thinned: bool) -> Prospect:
    """Say what an audit would say of the original; where its classes are `thinned`, the bounds promise too much."""
    if lower > tolerance:
        return "would fail"
    return "might pass" if max(upper, -lower) <= tolerance and not thinned else "cannot be told"


def _thinned(labels: np.ndarray, population: np.ndarray) -> bool:
    """Tell whether some class loses so many examples that retrained models know the rest of it less, too."""
    trained = population != TEST
    lost = np.bincount(labels[population == FORGET], minlength=int(labels.max()) + 1)
    whole = np.bincount(labels[trained], minlength=len(lost))
    return bool((lost > THINNED * whole).any())


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


def _detectable(policy: Policy, known: np.ndarray, count: int, seconds: float | None) -> tuple[Detectable, ...]:
    least, most = _spreads(known, count)
    return tuple(
        Detectable(
            num_references=k,
            least=_least_seen(least, k, count, policy),
            most=_least_seen(most, k, count, policy),
            seconds=None if seconds is None else k * seconds,
        )
        for k in NUM_REFERENCES
    )


def _spreads(known: np.ndarray, count: int) -> tuple[float, float]:
    """Return how little and how much retrained models' mean confidence on the f deleted examples may spread."""
    if len(known) >= MIN_REFERENCES:
        spread = float(known.mean(axis=1).std(ddof=1))
        return spread, spread
    return USUAL_SPREAD[0], _greatest_spread(count)


def _greatest_spread(count: int) -> float:
    return max(USUAL_SPREAD[1], EXAMPLE_SPREAD / float(np.sqrt(count)))


def _least_seen(spread: float, k: int, count: int, policy: Policy) -> float:
    """Return what K references see; their spread is moderated, as an audit does."""
    df = k - 1 + (PRIOR_DF if count >= MIN_COUNT else FEW_DF)
    errors = StandardErrors(spread * float(np.sqrt(1 + 1 / k)), df, spread / float(np.sqrt(k)), df)
    return min(1.0, detectable_difference(errors, policy.level, policy.alpha, policy.alpha / (2 * FINDINGS)))


def plan_sentences(plan: Plan) -> tuple[str, ...]:
    """Say a plan in lines of one or two sentences each, in the order in which a reader should know them."""
    return (
        _say_memorised(plan),
        _say_recognised(plan),
        _say_neighbours(plan),
        _say_references(plan),
        _say_prospect(plan),
        CAVEAT,
    )


def _say_memorised(plan: Plan) -> str:
    return (
        f"The original's mean confidence in the label of {_deleted(plan)} is {_percent(plan.confidence)}, and "
        f"{_compared(plan)} {_percent(plan.held_out_confidence)}: {_points(plan.memorised)} points "
        f"({_points(plan.lower)} to {_points(plan.upper)}, 95 %; tolerance {100 * plan.tolerance:g})."
    )


def _compared(plan: Plan) -> str:
    if not plan.known_references:
        return "that of test examples of the same classes, as near,"
    return (
        "that of one retrained model"
        if plan.known_references == 1
        else f"that of {plan.known_references} retrained models"
    )


def _say_recognised(plan: Plan) -> str:
    return f"Deleted examples that it recognises: {plan.recognised} of {plan.forget_size}."


def _say_neighbours(plan: Plan) -> str:
    shown = [f"{found.class_name} ({found.near} of {found.total})" for found in plan.neighbours[:SHOWN_NEIGHBOURS]]
    more = len(plan.neighbours) - len(shown)
    rest = f", and {more} more" if more > 0 else ""
    return f"Near them, by class of the nearest tenth of the retained examples: {', '.join(shown)}{rest}."


def _say_references(plan: Plan) -> str:
    told = ", ".join(f"{_seen(found)} with {found.num_references}{_cost(found)}" for found in plan.detectable)
    return f"The least difference, in points, that an audit would show in 80 % of cases, by retrained models: {told}."


def _seen(found: Detectable) -> str:
    """Write from what to what the least difference is that is seen, in points of confidence."""
    least, most = f"{100 * found.least:.0f}", f"{100 * found.most:.0f}"
    if found.least >= 1:
        return "none"
    if found.most >= 1:
        return f"{least} or more"
    return least if least == most else f"{least} to {most}"


def _time(seconds: float) -> str:
    """Write a number of seconds in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _cost(found: Detectable) -> str:
    return "" if found.seconds is None else f" ({_time(found.seconds)})"


def _say_prospect(plan: Plan) -> str:
    if plan.prospect == "would fail":
        return f"A model that was not touched would fail: there is something to forget. {_enough(plan)}"
    told = (
        "A model that was not touched might pass: nothing measurable seems to be memorised, and a pass would then say "
        "little of a method."
        if plan.prospect == "might pass"
        else "Whether a model that was not touched would fail cannot be told from these predictions."
    )
    return f"{told} {NEXT}" if plan.known_references < MIN_REFERENCES else told


def _enough(plan: Plan) -> str:
    may = [found.num_references for found in plan.detectable if found.least <= plan.memorised]
    should = [found.num_references for found in plan.detectable if found.most <= plan.memorised]
    if should and may[0] == should[0]:
        return f"{should[0]} retrained models should show it."
    if should:
        return f"{may[0]} retrained models may show it, {should[0]} should."
    most = plan.detectable[-1].num_references
    return (
        f"{may[0]} retrained models may show it." if may else f"Not even {most} retrained models are sure to show it."
    )


def _deleted(plan: Plan) -> str:
    return "the deleted example" if plan.forget_size == 1 else f"the {plan.forget_size} deleted examples"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"
