"""What is audited: models by name, and which examples were to be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.report import Role
from unlearn_audit.errors import AuditError
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.predictions import PredictionSource


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


@dataclass(frozen=True, eq=False)
class AuditSubject:
    """What is audited: models by name, and which examples were to be forgotten.

    Attributes:
        candidates: by name; at least one.
        references: by name; the retrained models, at least one.
        original: before unlearning; the no-op row.
        untrained: an untrained model; the random row.
        forget_ids: example ids of the forget set.
        forget_description: in words.
        forget_hash: over ids and data.
        class_names: c names; indices by default.
    """

    candidates: Mapping[str, AuditedModel]
    references: Mapping[str, AuditedModel]
    forget_ids: Sequence[str]
    original: AuditedModel | None = None
    untrained: AuditedModel | None = None
    forget_description: str = "given by id"
    forget_hash: str = ""
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.candidates or not self.references:
            raise AuditError("Expected at least one candidate and one retrained model (reference).")
        names = [name for name, _, _ in self.models()]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise AuditError(f"Expected each model under its own name, got {repeated[0]!r} more than once.")

    def models(self) -> list[tuple[str, Role, AuditedModel]]:
        """Return all models: candidates, anchors, references."""
        found: list[tuple[str, Role, AuditedModel]] = [(n, "candidate", m) for n, m in self.candidates.items()]
        found += [("original", "original", self.original)] if self.original else []
        found += [("untrained", "untrained", self.untrained)] if self.untrained else []
        return found + [(n, "reference", m) for n, m in self.references.items()]

    @property
    def first(self) -> PredictionSource:
        """The predictions in whose order everything is kept: the first reference's."""
        return next(iter(self.references.values())).predictions[0]


def populations(subject: AuditSubject) -> np.ndarray:
    """Return for each example of the first reference its index in `POPULATIONS` (n,): retain, forget or test.

    Raises:
        AuditError: where ids of the forget set are missing, or belong to test examples.
    """
    first = subject.first
    wanted = np.unique(np.asarray(list(subject.forget_ids), dtype=str))
    is_forget = np.isin(first.example_ids, wanted)
    is_test = first.splits == "test"
    if is_forget.sum() != len(wanted):
        missing = np.setdiff1d(wanted, first.example_ids)
        raise AuditError(
            f"Expected predictions for all {len(wanted)} examples of the forget set; {first.name} has none for "
            f"{len(missing)} of them, the first being {str(missing[0])!r}."
        )
    if not len(wanted):
        raise AuditError("Expected a forget set with at least one example, got none.")
    if (is_forget & is_test).any():
        raise AuditError(f"The forget set holds the test example {str(first.example_ids[is_forget & is_test][0])!r}.")
    return np.where(is_test, POPULATIONS.index("test"), np.where(is_forget, POPULATIONS.index("forget"), 0))
