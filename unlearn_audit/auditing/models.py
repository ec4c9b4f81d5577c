"""What is audited: models by name and role, and which examples were to be forgotten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.populations import FORGET, RETAIN, TEST
from unlearn_audit.predictions import PredictionSource

Role = Literal["candidate", "reference", "original", "untrained"]
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, eq=False)
class Models(Generic[T]):
    """Something of each model of an audit, by its role: predictions, files, rows of an array.

    Attributes:
        candidates: the unlearned models, by name.
        references: the retrained models, by name.
        original: the model before unlearning.
        untrained: a model that learned nothing.
    """

    candidates: Mapping[str, T]
    references: Mapping[str, T]
    original: T | None = None
    untrained: T | None = None

    def items(self) -> Iterator[tuple[str, Role, T]]:
        """Yield name, role and value: candidates, the original, the untrained model, references."""
        yield from self.compared()
        for name, value in self.references.items():
            yield name, "reference", value

    def compared(self) -> Iterator[tuple[str, Role, T]]:
        """Yield those that are compared with the references: candidates, the original and the untrained model."""
        for name, value in self.candidates.items():
            yield name, "candidate", value
        if self.original is not None:
            yield "original", "original", self.original
        if self.untrained is not None:
            yield "untrained", "untrained", self.untrained

    def map(self, function: Callable[[str, T], U]) -> Models[U]:
        """Return `function(name, value)` of each, in its role."""
        return Models(**self._mapped(function))

    def with_each(self, function: Callable[[str, T], T]) -> Self:
        """Return the same with `function(name, value)` in the place of each value; what a subclass adds stays."""
        return dataclasses.replace(self, **self._mapped(function))

    def _mapped(self, function: Callable[[str, T], U]) -> dict[str, Any]:
        return {
            "candidates": {name: function(name, value) for name, value in self.candidates.items()},
            "references": {name: function(name, value) for name, value in self.references.items()},
            "original": None if self.original is None else function("original", self.original),
            "untrained": None if self.untrained is None else function("untrained", self.untrained),
        }


@dataclass(frozen=True, eq=False)
class AuditedModel:
    """A model's predictions, with what is known of it.

    Attributes:
        predictions: of one model, or of J models of the same method with different seeds.
        method: the unlearning method, if any.
        seed: of its training.
        seconds: wall time that it took to make.
        examples: examples processed to make it.
    """

    predictions: tuple[PredictionSource, ...]
    method: str | None = None
    seed: int | None = None
    seconds: float | None = None
    examples: int | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditSubject(Models[AuditedModel]):
    """The models of an audit, at least one candidate and one reference, and which examples were to be forgotten.

    Attributes:
        forget_ids: example ids of the forget set.
        forget_description: in words.
        forget_hash: over ids and data.
        class_names: c names; indices by default.

    Raises:
        AuditError: where a role is empty, or two models have the same name.
    """

    forget_ids: Sequence[str]
    forget_description: str = "given by id"
    forget_hash: str = ""
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.candidates or not self.references:
            raise AuditError("Expected at least one candidate and one retrained model (reference).")
        names = [name for name, _, _ in self.items()]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise AuditError(f"Expected each model under its own name, got {repeated[0]!r} more than once.")

    @property
    def first(self) -> PredictionSource:
        """The predictions in whose order everything is kept: the first reference's."""
        return next(iter(self.references.values())).predictions[0]


def populations(subject: AuditSubject) -> np.ndarray:
    """Return for each example of the first reference its index in `POPULATIONS` (n,): retain, forget or test.

    Raises:
        AuditError: where ids of the forget set are missing, or belong to test examples.
    """
    return populations_in(subject.first, subject.forget_ids)


def populations_in(first: PredictionSource, forget_ids: Sequence[str]) -> np.ndarray:
    """Return for each example of a model's predictions its index in `POPULATIONS` (n,); errors as `populations`."""
    wanted = np.unique(np.asarray(list(forget_ids), dtype=str))
    is_forget = np.isin(first.example_ids, wanted)
    is_test = first.splits == "test"
    if is_forget.sum() != len(wanted):
        missing = np.setdiff1d(wanted, first.example_ids)
        raise AuditError(
            f"Expected predictions for all {len(wanted)} examples of the forget set; {first.name} has none for "
            f"{len(missing)} of them, the first being {str(missing[0])!r}. "
            "File names are known with --data alone, or to `unlearn-audit forget`, which writes ids."
        )
    if not len(wanted):
        raise AuditError("Expected a forget set with at least one example, got none.")
    if (is_forget & is_test).any():
        raise AuditError(f"The forget set holds the test example {str(first.example_ids[is_forget & is_test][0])!r}.")
    return np.where(is_test, TEST, np.where(is_forget, FORGET, RETAIN))
