"""What columns, splits and classes are called in files that somebody else wrote."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unlearn_audit.errors import ConfigurationError, PredictionsError, did_you_mean

SPLITS = ("train", "test")
OUTPUTS = ("logits", "log_probabilities", "probabilities")  # of which a file holds one
COLUMNS = ("example_id", "split", "label", *OUTPUTS, "embedding", "proximity")
_SHOWN = 20  # columns in a message


@dataclass(frozen=True, kw_only=True)
class Names:
    """Other names than ours, in files and tables of predictions, embeddings and proximities.

    A name that a file does not hold is no error: it is read by ours then, as files that this package wrote are.

    Attributes:
        columns: their name of a column, by ours: `{"logits": "scores"}`. Of a CSV file, what stands before the number
            of the class: `score` for `score_0`, `score_1`, ….
        splits: "train" or "test" by their name of a split: `{"validation": "test"}`.
        classes: names of the classes, in the order of the outputs: labels may then be text.

    Raises:
        ConfigurationError: for a column that there is not, another split, or a class that is named twice.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for ours in self.columns:
            if ours not in COLUMNS:
                raise ConfigurationError(f"names.columns: there is no column {ours!r}.{did_you_mean(ours, COLUMNS)}")
        for theirs, ours in self.splits.items():
            if ours not in SPLITS:
                raise ConfigurationError(f"names.splits.{theirs}: expected train or test, got {ours!r}.")
        if len(set(self.classes)) < len(self.classes):
            raise ConfigurationError(f"names.classes: expected each class once, got {list(self.classes)}.")

    def stored(self, found: Collection[str]) -> dict[str, str]:
        """Return which of the columns `found` hold what, by our names."""
        called = {ours: self.columns.get(ours, ours) for ours in COLUMNS}
        places = {ours: theirs if theirs in found else ours for ours, theirs in called.items()}
        return {ours: place for ours, place in places.items() if place in found}

    def renamed(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return columns by our names; those that we have no name for are left out."""
        return {ours: columns[theirs] for ours, theirs in self.stored(columns).items()}

    def split_of(self, values: np.ndarray) -> np.ndarray:
        """Return splits (n,) by our names."""
        found = values.astype(str)
        for theirs, ours in self.splits.items():
            found = np.where(values == theirs, ours, found)
        return found

    def label_of(self, name: str, values: np.ndarray) -> np.ndarray:
        """Return labels (n,), which are numbers or names of classes, as numbers; `PredictionsError` for an unknown."""
        if values.dtype.kind in "iu":
            return values
        if not self.classes:
            raise PredictionsError(
                f"{name}: expected whole numbers in 'label', got text such as {str(values[0])[:40]!r}. Name the "
                "classes in the order of the outputs: --set names.classes=[…]."
            )
        place = {label: index for index, label in enumerate(self.classes)}
        foreign = sorted({value for value in values.astype(str).tolist() if value not in place})
        if foreign:
            hint = did_you_mean(foreign[0], place)
            raise PredictionsError(f"{name}: expected labels that names.classes names, got {foreign[0][:40]!r}.{hint}")
        return np.array([place[value] for value in values.astype(str).tolist()], dtype=np.int64)


def missing_column(name: str, wanted: str, found: Collection[str]) -> str:
    """Return what to say of a file that lacks a column: which, what there is, and how to map it."""
    shown = sorted(found)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    first = wanted.split("`")[1]
    return (
        f"{name}: expected a column {wanted}, found {', '.join(shown[:_SHOWN])}{more}. If it is called otherwise: "
        f"--set names.columns.{first}=NAME."
    )
