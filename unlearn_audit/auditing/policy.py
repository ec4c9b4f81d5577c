"""What a verdict rests on: a measure, tolerances in units that people can weigh, and alpha. Stated in every report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.measures import registry

if TYPE_CHECKING:
    from unlearn_audit.measures import Measure


@dataclass(frozen=True)
class Policy:
    """What a verdict rests on; the same for every group of examples.

    Attributes:
        measure: name of the measure of the pattern.
        level: tolerated difference of mean confidence in the label, in [0, 1]: 0.05 is five percentage points.
        pattern: tolerated excess of the measure, in its unit. For the Jensen-Shannon divergence, 0.045 bits are
            as if nine predictions in two hundred were wholly different.
        alpha: share of retrained models that may fail, over all groups and questions; level of the one-sided bounds.

    Raises:
        ConfigurationError: names the key that is wrong.
    """

    measure: str = "js"
    level: float = 0.05
    pattern: float = 0.045
    alpha: float = 0.05

    def __post_init__(self) -> None:
        _check_number("level", self.level, lambda value: 0 <= value <= 1, "a number between 0 and 1")
        _check_number("pattern", self.pattern, lambda value: value >= 0, "a number of at least 0")
        _check_number("alpha", self.alpha, lambda value: 0 < value < 0.5, "a number between 0 and 0.5")


@dataclass(frozen=True)
class FirstPolicy:
    """The policy of reports of the first version, which are still read: one distance, on two groups a population."""

    measure: str
    populations: tuple[str, ...]
    strata: int | str
    absolute: float
    relative: float
    alpha: float


def measure_of_pattern(policy: Policy) -> Measure:
    """Return the policy's measure.

    Raises:
        ConfigurationError: where there is none of that name, or it has no noise floor to compare with.
    """
    measure: Measure = registry.create(policy.measure)
    if measure.zero_floor:
        raise ConfigurationError(
            f"policy.measure: expected a measure with a noise floor between retrained models, got {policy.measure!r}; "
            "it stays in the report beside another one."
        )
    return measure


def _check_number(key: str, value: object, holds: Any, expected: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    if not number or not holds(value):
        raise ConfigurationError(f"policy.{key}: expected {expected}, got {value!r}.")
