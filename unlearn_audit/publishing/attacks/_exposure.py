"""What an attack is given, and how what it finds is scored against chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from unlearn_audit.auditing.report import AuditReport

# What to do about a leak: publish the answers alone, name no base model, publish nothing; "none": the weights leak.
Remedy = Literal["figures", "base_model", "refuse", "none"]
TOLERANCE = 0.1  # above chance, of the examples that an attack names
ALPHA = 0.01


@dataclass(frozen=True, eq=False)
class Space:
    """Embeddings by which proximities were measured: of the n training examples, and of test examples by their id."""

    train: np.ndarray  # (n, d)
    test: np.ndarray  # (t, d)
    test_ids: np.ndarray  # (t,)


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be published, what else an attacker may hold, and the truth that attacks are scored by.

    An attacker is taken to have the training examples with their labels, and to compute what anyone can of a model.

    Attributes:
        folder: with README.md and `audit/`, as they would be published.
        report: the published report; None where only the answers are.
        rows: the published ledger, None likewise.
        commitment: the published hash of the forget set.
        linked: whether the card names the model from which the candidate was made.
        candidate: its name in the audit.
        fingerprint: of the data.
        ids: (n,) of the training examples, in the order of the data.
        labels: (n,) classes.
        is_forget: (n,) the truth.
        correct: whether a model classifies each right, (n,) by name.
        confidence: in the label, (n,) by name.
        space: of the original's embeddings, where there is one.
    """

    folder: Path
    report: AuditReport | None
    rows: pa.Table | None
    commitment: str
    linked: bool
    candidate: str
    fingerprint: str
    ids: np.ndarray
    labels: np.ndarray
    is_forget: np.ndarray
    correct: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]
    space: Space | None

    @cached_property
    def by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """How many examples each class has, and how many were forgotten, both (c,)."""
        classes = int(self.labels.max()) + 1
        return np.bincount(self.labels, minlength=classes), np.bincount(self.labels[self.is_forget], minlength=classes)

    @property
    def chance(self) -> float:
        """Share of right names when as many of each class are drawn by lot as were forgotten of it."""
        size, forgotten = self.by_class
        return float((forgotten**2 / np.maximum(size, 1)).sum() / max(forgotten.sum(), 1))

    def named(self, scores: np.ndarray) -> np.ndarray:
        """Return which examples (n,) bool have the highest scores (n,) of a class, as many as were forgotten of it."""
        chosen = np.zeros(len(self.ids), bool)
        for label, count in enumerate(self.by_class[1]):
            rows = np.flatnonzero(self.labels == label) if count else np.empty(0, int)
            chosen[rows[np.argsort(-scores[rows], kind="stable")[:count]]] = True
        return chosen

    def found(self, named: np.ndarray) -> float:
        """Return which share of the named examples (n,) bool was forgotten; 0 where none is named."""
        return float(self.is_forget[named].mean()) if named.any() else 0.0

    def p_value(self, found: float) -> float:
        """Return how likely a share of right names so high is by lot: one-sided, by the normal approximation."""
        from scipy.stats import norm

        size, forgotten = self.by_class
        share = forgotten / np.maximum(size, 1)
        variance = (forgotten * share * (1 - share) * (size - forgotten) / np.maximum(size - 1, 1)).sum()
        excess = (found - self.chance) * forgotten.sum() - 0.5
        return float(norm.sf(excess / np.sqrt(variance))) if variance else 1.0


@dataclass(frozen=True)
class Exposure:
    """How well an attack tells who was forgotten.

    Attributes:
        attack: its name.
        told: what it goes by, as the subject of a sentence.
        found: share in [0, 1] of the examples it names that were forgotten.
        chance: that share by drawing lots.
        leaks: more than chance, and more than is tolerated.
        remedy: what keeps it from working.
    """

    attack: str
    told: str
    found: float
    chance: float
    leaks: bool
    remedy: Remedy

    def __str__(self) -> str:
        known = f"{100 * self.found:.0f} % of those it points to were forgotten, {100 * self.chance:.0f} % by lot"
        return f"{self.told}: {known}{': it tells' if self.leaks else ''}."


def scored(target: Target, attack: str, told: str, scores: np.ndarray, remedy: Remedy) -> Exposure:
    """Score an attack that names the examples with the highest scores (n,) of each class that lost some."""
    found = target.found(target.named(scores))
    leaks = found > target.chance + TOLERANCE and target.p_value(found) < ALPHA
    return Exposure(attack, told, found, target.chance, leaks, remedy)
