"""The groups of the three questions, against a naive reading of their definition."""

from __future__ import annotations

import numpy as np
import pytest

from unlearn_audit.auditing.groups import GROUP_TITLES, QUESTIONS, question_groups
from unlearn_audit.populations import FORGET, RETAIN, TEST


def made(n: int = 3000, *, classes: int = 10, forget: int = 40, test: int = 600, seed: int = 0, ties: bool = False):
    """Population, proximity and labels of n examples; the first `forget` of class 0 are deleted."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    population = np.full(n, RETAIN)
    population[rng.choice(n, test, replace=False)] = TEST
    deleted = np.flatnonzero((labels == 0) & (population == RETAIN))[:forget]
    population[deleted] = FORGET
    proximity = rng.integers(0, 20, n).astype(float) if ties else rng.normal(size=n)
    return population, proximity, labels


def slow_groups(population, proximity, labels) -> dict[str, set[int]]:
    """The same by the words of the documentation, with sorted lists and sets."""
    rows = {place: [i for i in range(len(labels)) if population[i] == place] for place in (RETAIN, FORGET, TEST)}

    def nearest(place: int, share: float) -> set[int]:
        ordered = sorted(rows[place], key=lambda i: (-proximity[i], i))
        return set(ordered[: max(50, round(share * len(ordered)))])

    lost = {labels[i] for i in rows[FORGET]}
    same = {i for i in rows[RETAIN] if labels[i] in lost}
    found = {
        "forget": set(rows[FORGET]),
        "nearest_retain": nearest(RETAIN, 0.01),
        "near_retain": nearest(RETAIN, 0.10),
        "same_class_retain": same if 2 * len(same) <= len(rows[RETAIN]) else set(),
        "near_test": nearest(TEST, 0.20),
    }
    near = found["nearest_retain"] | found["near_retain"] | found["same_class_retain"]
    found["other_retain"] = set(rows[RETAIN]) - near
    found["other_test"] = set(rows[TEST]) - found["near_test"]
    return found


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [400, 3000, 8000])
def test_groups_are_what_their_definition_says(n, ties) -> None:
    given = made(n, test=n // 5, ties=ties)
    expected = {name: rows for name, rows in slow_groups(*given).items() if rows}
    found = {group.name: set(np.flatnonzero(group.members).tolist()) for group in question_groups(*given)}
    for name, rows in found.items():
        assert rows == expected[name], name
    for name in expected.keys() - found.keys():
        assert expected[name] in found.values(), name  # left out, because another group is the same


def test_every_example_is_asked_about_and_each_question_s_groups_are_apart_from_the_rest() -> None:
    groups = question_groups(*made())
    assert np.logical_or.reduce([group.members for group in groups]).all()
    assert {group.question for group in groups} == set(QUESTIONS)
    by_question = {q: np.logical_or.reduce([g.members for g in groups if g.question == q]) for q in QUESTIONS}
    assert sum(members.astype(int) for members in by_question.values()).max() == 1
    assert all(group.name in GROUP_TITLES and group.count == group.members.sum() for group in groups)


def test_no_two_groups_are_the_same_and_none_is_empty() -> None:
    for n in (60, 130, 300, 700):
        groups = question_groups(*made(n, forget=5, test=n // 5, classes=4))
        members = [group.members.tobytes() for group in groups]
        assert len(set(members)) == len(members)
        assert min(group.count for group in groups) > 0


def test_without_test_examples_the_groups_are_of_training_examples() -> None:
    names = [group.name for group in question_groups(*made(test=0))]
    assert names == ["forget", "nearest_retain", "near_retain", "same_class_retain", "other_retain"]


def test_a_class_that_is_deleted_whole_leaves_none_of_its_class() -> None:
    population, proximity, labels = made(forget=3000)
    assert not ((population == RETAIN) & (labels == 0)).any()
    names = [group.name for group in question_groups(population, proximity, labels)]
    assert names == ["forget", "nearest_retain", "near_retain", "other_retain", "near_test", "other_test"]


@pytest.mark.parametrize("classes", [1, 2])
def test_where_most_examples_are_of_the_deleted_classes_these_are_no_neighbours(classes) -> None:
    population, proximity, labels = made(classes=classes, forget=2)
    labels[population == FORGET] = np.arange(2) % classes
    names = [group.name for group in question_groups(population, proximity, labels)]
    assert "same_class_retain" not in names and "other_retain" in names


def test_one_deleted_example_is_a_group() -> None:
    groups = question_groups(*made(forget=1))
    assert (groups[0].name, groups[0].question, groups[0].count) == ("forget", "forgotten", 1)
