"""References are evidence too: copies, models that saw the forget set, and unequal training, found before judging.

A verdict is only as honest as its references, and that is the cheapest place to cheat, or to make a mistake. What is
found here is told at the top of a report; it withholds the verdict, but for exact copies, of which one is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES, p_value_of

COPY_SHARE = 1 / 3  # two models this much nearer to each other than retrained models are (median) are no two trainings
UNEQUAL_EXAMPLES = 0.05  # training lengths of references that differ by more than this share are unequal
UNEQUAL_ACCURACY = 0.05
LEAST_SPREAD = 0.01  # of test accuracies, which are counts: a few references often have the same one


@dataclass(frozen=True)
class Suspicion:
    """Something that is wrong with the references.

    Attributes:
        models: names of the models that it concerns.
        sentence: what was found, and what to do.
    """

    models: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, eq=False)
class ReferenceFigures:
    """What is looked at. K references, and M other models that might be among them (candidates, the original).

    Attributes:
        names: (K,) of the references.
        between: (K, K) mean discrepancy over all examples; the diagonal is not looked at.
        others: by name of the other models, (K,) mean discrepancy to each reference.
        forget_levels: (K,) mean confidence in the label on the forget set.
        test_accuracies: (K,) share of test examples classified correctly; None without test examples.
        examples: (K,) examples processed in training; None where that is not known of all.
    """

    names: Sequence[str]
    between: np.ndarray
    others: Mapping[str, np.ndarray]
    forget_levels: np.ndarray
    test_accuracies: np.ndarray | None = None
    examples: np.ndarray | None = None


def suspicions(figures: ReferenceFigures, *, tolerance: float, alpha: float) -> tuple[Suspicion, ...]:
    """Return what is wrong with the references, in the order in which a reader should know it.

    Args:
        figures: of the references and the other models.
        tolerance: of mean confidence, as the policy states it, in [0, 1].
        alpha: share of honest sets of references that may be suspected, by each test.
    """
    return (
        *_copies(figures),
        *_posing(figures),
        *_knowing(figures, tolerance, alpha),
        *_unequal_accuracy(figures, alpha),
        *_unequal_training(figures),
    )


def _usual_distance(figures: ReferenceFigures) -> float:
    """Return the median discrepancy between two references."""
    k = len(figures.names)
    return float(np.median(figures.between[~np.eye(k, dtype=bool)])) if k > 1 else float("nan")


def _copies(figures: ReferenceFigures) -> list[Suspicion]:
    usual = _usual_distance(figures)
    k = len(figures.names)
    return [
        Suspicion(
            (figures.names[i], figures.names[j]),
            f"The references {figures.names[i]!r} and {figures.names[j]!r} are nearly one model: they differ by "
            f"{_share(figures.between[i, j], usual)} of what two retrained models usually do. Leave one of them out.",
        )
        for i in range(k)
        for j in range(i + 1, k)
        if k > 2 and figures.between[i, j] <= COPY_SHARE * usual
    ]


def _posing(figures: ReferenceFigures) -> list[Suspicion]:
    """Find references that are a candidate, or the original, perhaps under another name or with noise."""
    usual = _usual_distance(figures)
    return [
        Suspicion(
            (figures.names[k], name),
            f"The reference {figures.names[k]!r} is nearly the model {name!r} that is judged by it: they differ by "
            f"{_share(distance, usual)} of what two retrained models usually do. Leave it out.",
        )
        for name, distances in figures.others.items()
        for k, distance in enumerate(distances)
        if distance <= COPY_SHARE * usual
    ]


def _knowing(figures: ReferenceFigures, tolerance: float, alpha: float) -> list[Suspicion]:
    """Find references that recognise the forget set better than the others."""
    levels = figures.forget_levels
    return [
        Suspicion(
            (figures.names[k],),
            f"The reference {figures.names[k]!r} recognises the deleted examples better than the others (mean "
            f"confidence {100 * levels[k]:.0f} %, the others {100 * np.delete(levels, k).mean():.0f} %): was it "
            "trained on them? Leave it out, or retrain it without them.",
        )
        for k, p_value in enumerate(_leave_one_out(levels, alpha))
        if p_value and levels[k] - np.delete(levels, k).mean() > tolerance
    ]


def _unequal_accuracy(figures: ReferenceFigures, alpha: float) -> list[Suspicion]:
    accuracies = figures.test_accuracies
    if accuracies is None:
        return []
    above, below = (_leave_one_out(sign * accuracies, alpha / 2, LEAST_SPREAD) for sign in (1, -1))
    extreme = [high or low for high, low in zip(above, below, strict=True)]
    return [
        Suspicion(
            (figures.names[k],),
            f"The reference {figures.names[k]!r} has a test accuracy of {100 * accuracies[k]:.1f} %, the others "
            f"{100 * np.delete(accuracies, k).mean():.1f} %: train all references in the same way.",
        )
        for k, found in enumerate(extreme)
        if found and abs(accuracies[k] - np.delete(accuracies, k).mean()) > UNEQUAL_ACCURACY
    ]


def _unequal_training(figures: ReferenceFigures) -> list[Suspicion]:
    examples = figures.examples
    if examples is None or examples.max() <= (1 + UNEQUAL_EXAMPLES) * examples.min():
        return []
    least, most = figures.names[int(examples.argmin())], figures.names[int(examples.argmax())]
    return [
        Suspicion(
            (least, most),
            f"The references were not trained equally long: {least!r} on {examples.min():,} examples, {most!r} on "
            f"{examples.max():,}. Train all references in the same way.",
        )
    ]


def _leave_one_out(values: np.ndarray, alpha: float, least_spread: float = 0.0) -> list[bool]:
    """Tell of each value (K,) whether it is larger than another draw of the others would be, at alpha / K."""
    k = len(values)
    if k < MIN_REFERENCES:
        return [False] * k
    found = []
    for place in range(k):
        others = np.delete(values, place)
        error = max(float(others.std(ddof=1)), least_spread) * np.sqrt(1 + 1 / (k - 1))
        found.append(p_value_of(float(values[place] - others.mean()), error, k - 2) <= alpha / k)
    return found


def _share(distance: float, usual: float) -> str:
    return f"{100 * distance / usual:.0f} %" if usual > 0 else "nothing"
