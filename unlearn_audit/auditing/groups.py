"""The groups of examples that the three questions are asked of: the forget set, its neighbours, and everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.populations import FORGET, RETAIN, TEST

Question = Literal["forgotten", "neighbours", "rest"]
QUESTIONS: tuple[Question, ...] = ("forgotten", "neighbours", "rest")

NEAREST_SHARE, NEAREST_LEAST = 0.01, 50
NEAR_SHARE = {"retain": 0.10, "test": 0.20}  # test sets are smaller, and what is asked of them is no finer
SAME_CLASS_MOST = 0.5  # beyond this share of a population, examples of the same classes are no neighbours

# In the words of a sentence, nearest first within each question.
GROUP_TITLES: dict[str, str] = {
    "forget": "the forget set",
    "nearest_retain": "the retained examples nearest to the forget set",
    "near_retain": "the nearest tenth of the retained examples",
    "same_class_retain": "the retained examples of the same classes",
    "near_test": "the test examples nearest to the forget set",
    "same_class_test": "the test examples of the same classes",
    "other_retain": "the other retained examples",
    "other_test": "the other test examples",
}

TEST_GROUPS = ("near_test", "same_class_test", "other_test")


@dataclass(frozen=True, eq=False)
class QuestionGroup:
    """A group of examples and the question that it belongs to.

    Attributes:
        name: a key of `GROUP_TITLES`.
        question: "forgotten", "neighbours" or "rest".
        members: (n,) bool.
    """

    name: str
    question: Question
    members: np.ndarray

    @property
    def count(self) -> int:
        """How many examples it holds."""
        return int(self.members.sum())


def near_groups(proximity: np.ndarray | None) -> tuple[str, ...]:
    """Return the names of the groups that hold an example because it is near: by proximity, or else by class."""
    if proximity is None:
        return ("same_class_retain", "same_class_test")
    return ("nearest_retain", "near_retain", "near_test")


def question_groups(
    population: np.ndarray, proximity: np.ndarray | None, labels: np.ndarray
) -> tuple[QuestionGroup, ...]:
    """Return the groups of n examples, those that hold any and are not the same as one before.

    Neighbours are the nearest 1 % (at least 50) and the nearest 10 % of the retained examples, the retained examples of
    the classes that lost examples, where those are at most half of them, and the nearest 20 % (at least 50) of the test
    examples. Without proximities they are the retained and the test examples of the classes that lost examples alone.
    Everything else is what is left of the retained and of the test examples.

    Args:
        population: (n,) int, index into `POPULATIONS`.
        proximity: (n,) larger is nearer to the forget set; None where it is not known.
        labels: (n,) classes.

    Raises:
        AuditError: without proximities, where classes do not tell who is near.
    """
    lost = np.isin(labels, np.unique(labels[population == FORGET]))
    found = [QuestionGroup("forget", "forgotten", population == FORGET)]
    for index, name in ((RETAIN, "retain"), (TEST, "test")):
        here = population == index
        neighbours = _neighbours(here, proximity, lost, name)
        rest = here & ~np.logical_or.reduce([group.members for group in neighbours] or [np.zeros_like(here)])
        found += [*neighbours, QuestionGroup(f"other_{name}", "rest", rest)]
    groups = _distinct(found)
    if proximity is None and not any(group.question == "neighbours" for group in groups):
        raise AuditError(
            "Expected embeddings or proximities, got none, and classes do not tell who is near the forget set: those "
            "that lost examples hold more than half of all others, or none. Give --embeddings or --proximities."
        )
    return groups


def _neighbours(here: np.ndarray, proximity: np.ndarray | None, lost: np.ndarray, name: str) -> list[QuestionGroup]:
    if proximity is None:
        return _of_same_classes(here, lost, name)
    total = int(here.sum())
    near = _nearest(here, proximity, max(NEAREST_LEAST, round(NEAR_SHARE[name] * total)))
    found = [QuestionGroup(f"near_{name}", "neighbours", near)]
    if name == "retain":
        nearest = _nearest(here, proximity, max(NEAREST_LEAST, round(NEAREST_SHARE * total)))
        found.insert(0, QuestionGroup("nearest_retain", "neighbours", nearest))
        found += _of_same_classes(here, lost, name)
    return found


def _of_same_classes(here: np.ndarray, lost: np.ndarray, name: str) -> list[QuestionGroup]:
    same = here & lost
    few_enough = same.sum() <= SAME_CLASS_MOST * here.sum()
    return [QuestionGroup(f"same_class_{name}", "neighbours", same)] if few_enough else []


def _nearest(here: np.ndarray, proximity: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` nearest examples of a population (n,) bool; of equal ones, the first."""
    rows = np.flatnonzero(here)
    chosen = rows[np.argsort(-proximity[rows], kind="stable")[:count]]
    members = np.zeros(len(here), dtype=bool)
    members[chosen] = True
    return members


def _distinct(groups: list[QuestionGroup]) -> tuple[QuestionGroup, ...]:
    kept: list[QuestionGroup] = []
    for group in groups:
        if group.count and not any(np.array_equal(group.members, other.members) for other in kept):
            kept.append(group)
    return tuple(kept)
