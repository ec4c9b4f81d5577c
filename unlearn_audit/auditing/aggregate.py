"""Aggregate figures: what papers report of an unlearned model, beside what they hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.populations import POPULATIONS

if TYPE_CHECKING:
    from unlearn_audit.auditing.discrepancy import ExampleScores


@dataclass(frozen=True)
class AggregateFigures:
    """Figures of one model; None where a population is empty, or there is nothing to compare with.

    Attributes:
        retain_accuracy: share of the retain set that is classified correctly, in [0, 1].
        forget_accuracy: of the forget set.
        test_accuracy: of the test set.
        unlearning_accuracy: UA = 1 - forget_accuracy. Its aim is the retrained models' value, not 1.
        average_gap: mean over the populations of |accuracy - the references' mean accuracy|; 0 is best.
        tug_of_war: ToW, the product over the populations of 1 - |accuracy - the references' mean accuracy|; 1 is best
            (Zhao et al. 2024, arXiv 2406.01257).
    """

    retain_accuracy: float | None
    forget_accuracy: float | None
    test_accuracy: float | None
    unlearning_accuracy: float | None
    average_gap: float | None
    tug_of_war: float | None


def aggregate_figures(
    scores: Mapping[str, ExampleScores], population: np.ndarray, *, references: Sequence[str]
) -> dict[str, AggregateFigures]:
    """Return the figures of each model; a reference is compared with the other references.

    Args:
        scores: by model name, each on the same n examples.
        population: (n,) "retain", "forget" or "test".
        references: the names of the retrained models.
    """
    accuracies = {name: _accuracies(found.correct, population) for name, found in scores.items()}  # each (3,)
    figures = {}
    for name, accuracy in accuracies.items():
        others = [accuracies[reference] for reference in references if reference != name]
        gaps = np.abs(accuracy - np.mean(others, axis=0)) if others else np.full(len(POPULATIONS), np.nan)
        gaps = gaps[np.isfinite(gaps)]
        retain, forget, test = (None if np.isnan(value) else float(value) for value in accuracy)
        figures[name] = AggregateFigures(
            retain_accuracy=retain,
            forget_accuracy=forget,
            test_accuracy=test,
            unlearning_accuracy=None if forget is None else 1 - forget,
            average_gap=float(gaps.mean()) if len(gaps) else None,
            tug_of_war=float(np.prod(1 - gaps)) if len(gaps) else None,
        )
    return figures


def _accuracies(correct: np.ndarray, population: np.ndarray) -> np.ndarray:
    here = [correct[population == name] for name in POPULATIONS]
    return np.array([part.mean() if len(part) else np.nan for part in here])
