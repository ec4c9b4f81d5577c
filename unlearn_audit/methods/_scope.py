"""What a method sees, and what it is made for: one line for whoever chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fit = Literal["yes", "with care", "no"]


@dataclass(frozen=True)
class Scope:
    """What a method needs, for which forget sets it is made, and about what it costs.

    "no" is where its targets exclude what a retrained model says: made to drop a whole class, it denies the class also
    to the examples of it that are kept.

    Attributes:
        needs: the examples that it looks at: "forget", or "forget and retain".
        random: whether it is made for single examples of all classes.
        partial: for part of a class.
        whole: for a whole class.
        cost: in passes forward and backward over all n training examples: E epochs, n_f forget and n_r retain examples.
    """

    needs: Literal["forget", "retain", "forget and retain"]
    random: Fit
    partial: Fit
    whole: Fit
    cost: str

    def __str__(self) -> str:
        return (
            f"needs {self.needs}; random examples {self.random}, part of a class {self.partial}, "
            f"a whole class {self.whole}; costs {self.cost}"
        )
