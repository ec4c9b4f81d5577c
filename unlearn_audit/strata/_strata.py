"""What a kind of strata is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn_audit.registry import Plugin
from unlearn_audit.strata import registry


@dataclass(frozen=True)
class Stratum:
    """A stratum; `lower` and `upper` bound its proximity (upper included), None where it is open or no range."""

    index: int
    label: str
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, eq=False)
class Examples:
    """The n examples that strata are cut from.

    Attributes:
        proximity: (n,), finite; larger is nearer. All 0 where it is not known, for kinds that do not need it.
        is_retain: (n,) bool, true somewhere; the retain set gives the edges.
        is_forget: (n,) bool.
        labels: (n,) classes.
        column: (n,) values of the column that the kind of strata asks for, if any.
    """

    proximity: np.ndarray
    is_retain: np.ndarray
    is_forget: np.ndarray
    labels: np.ndarray
    column: np.ndarray | None = None


@dataclass(frozen=True)
class Strata(Plugin, ABC):
    """A kind of strata, which parts examples by proximity, class or a column. Stratum 0 is the nearest.

    A kind of strata is a frozen dataclass: its fields are its options. Options called `number` and `column` are taken
    from `neighbourhood.number` and `neighbourhood.column`, unless the name states them.

    Attributes:
        needs_proximity: whether examples are parted by it; else an audit asks for no embeddings.
    """

    registry = registry
    needs_proximity: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, examples: Examples) -> tuple[np.ndarray, tuple[Stratum, ...]]:
        """Return the stratum of each example, (n,) int, -1 for none, and the strata, nearest first.

        Raises:
            AuditError: where the examples cannot be parted so.
        """

    def column_needed(self) -> str | None:
        """Return the name of the column whose values it parts examples by, or None."""
        return None

    def describe(self, count: int) -> str:
        """Return in words what the `count` strata are, for a report: "10 quantiles"."""
        return self.name.replace("_", " ")
