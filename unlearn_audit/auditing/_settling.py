"""What it takes to settle a finding: the least difference that would be seen, and how many references it needs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from unlearn_audit.auditing._scores import (
    MAX_REFERENCES,
    MIN_REFERENCES,
    POWER,
    StandardErrors,
    critical_value,
    detectable_shift,
)


def detectable_difference(errors: StandardErrors, limit: float, alpha: float, level: float) -> float:
    """Return the least difference that fails in 80 % of audits: seen by its test, and its bound beyond the limit.

    Args:
        errors: of the difference.
        limit: what is tolerated.
        alpha: of the bound.
        level: of the one-sided test, after correction for the number of tests.
    """
    seen = detectable_shift(errors.prediction_df, level) * errors.prediction
    quantiles = critical_value(alpha, errors.confidence_df) + critical_value(1 - POWER, errors.confidence_df)
    return float(max(seen, limit + quantiles * errors.confidence))


def references_to_settle(
    difference: float, limit: float, errors: StandardErrors, k: int, alpha: float, level: float, most_df: int | None
) -> int | None:
    """Return about how many references settle a difference, if it and the models' spread stay as they are.

    Args:
        difference: larger is farther from retraining.
        limit: what is tolerated.
        errors: of the difference, with `k` references.
        k: how many there are.
        alpha: of the bound.
        level: of the one-sided test, after correction for the number of tests.
        most_df: degrees of freedom of the prediction at most; None sets no limit.
    """
    numbers, bound, test = _critical_values(alpha, level, most_df)
    width = bound * errors.confidence * np.sqrt(k / numbers)
    if difference <= limit:
        settled = difference + width <= limit
    else:
        spread = errors.prediction * np.sqrt((1 + 1 / numbers) / (1 + 1 / k))
        settled = (difference - width > limit) & (difference >= test * spread)
    return int(numbers[settled][0]) if settled.any() else None


@lru_cache(maxsize=64)
def _critical_values(alpha: float, level: float, most_df: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers of references, and for each the critical value of t for the bound and for the test."""
    numbers = np.arange(MIN_REFERENCES, MAX_REFERENCES + 1)
    tails = numbers - 1 if most_df is None else np.minimum(numbers - 1, most_df)
    bound = np.array([critical_value(alpha, int(number) - 1) for number in numbers])
    return numbers, bound, np.array([critical_value(level, int(df)) for df in tails])
