"""The values of a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.strata._strata import Examples, Strata, Stratum

__all__ = ["Column"]


@dataclass(frozen=True)
class Column(Strata):
    """One stratum for each value of a column, such as a coarse label or a slice, in the order of their text.

    Attributes:
        column: its name.
    """

    needs_proximity: ClassVar[bool] = False
    column: str

    def __call__(self, examples: Examples) -> tuple[np.ndarray, tuple[Stratum, ...]]:
        """Return the stratum of each example (n,) and the strata; without values of the column, an `AuditError`."""
        if examples.column is None:
            raise AuditError(f"Expected the column {self.column!r} for the strata, got none.")
        values, stratum = np.unique(examples.column.astype(str), return_inverse=True)
        strata = tuple(Stratum(i, f"{self.column} = {value}") for i, value in enumerate(values))
        return stratum.astype(np.int64), strata

    def column_needed(self) -> str:
        """Return the name of the column."""
        return self.column

    def describe(self, count: int) -> str:
        """Return in words what the `count` strata are."""
        return "column"
