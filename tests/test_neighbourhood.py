"""The neighbourhood of examples, from plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.neighbourhood import Neighbourhood, NeighbourhoodConfig, find_neighbourhood

N, F = 200, 12
RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.normal(size=(N, 6)).astype(np.float32)
IS_FORGET = np.arange(N) < F
IS_RETAIN = (np.arange(N) >= F) & (np.arange(N) < 150)
IDS = np.array([f"train-{i}" for i in range(N)])
UNIT = EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)


def found(embeddings: np.ndarray | None = EMBEDDINGS, **given) -> Neighbourhood:
    config = NeighbourhoodConfig(**given.pop("settings", {}))
    arrays = {"is_forget": IS_FORGET, "is_retain": IS_RETAIN, "labels": np.zeros(N, int)}
    return find_neighbourhood(config, embeddings, **{**arrays, **given})


def others_by_cosine() -> np.ndarray:
    """Return the cosine (n, f) of each example to each forget example, -inf to itself."""
    cosines = UNIT @ UNIT[:F].T
    cosines[np.arange(F), np.arange(F)] = -np.inf
    return cosines


def test_the_nearest_forget_example_is_another_one_and_is_named_by_its_id() -> None:
    np.testing.assert_array_equal(found(ids=IDS).nearest_forget_ids, IDS[others_by_cosine().argmax(axis=1)])
    assert found().nearest_forget_ids is None
    assert found(None, proximity=UNIT[:, 0], ids=IDS).nearest_forget_ids is None


def test_a_single_forget_example_is_the_nearest_of_all_others() -> None:
    nearest = found(ids=IDS, is_forget=np.arange(N) == 0).nearest_forget_ids
    assert nearest is not None
    assert nearest[0] == "" and set(nearest[1:]) == {"train-0"}


@pytest.mark.parametrize("settings", [{"proximity": "knn", "k": 3}, {"proximity": "knn(k=3)", "k": 5}])
def test_a_proximity_s_option_comes_from_its_name_or_else_from_the_configuration(settings: dict) -> None:
    expected = np.sort(others_by_cosine(), axis=1)[:, -3:].mean(axis=1)
    np.testing.assert_allclose(found(settings=settings).proximity, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "centroid proximity in the embedding of the original model; strata: 10 quantiles"),
        (
            {"proximity": "knn", "strata": "equal_width", "number": 4, "embedding": "DINO"},
            "knn proximity of 10 neighbours in the embedding of the DINO model; strata: 4 equal width",
        ),
        ({"strata": "same_class"}, "centroid proximity in the embedding of the original model; strata: same class"),
        (
            {"strata": "top(shares=(0.1,))"},
            "centroid proximity in the embedding of the original model; strata: top(shares=(0.1,))",
        ),
    ],
)
def test_the_description_says_what_was_computed(settings: dict, expected: str) -> None:
    assert found(settings=settings).description == expected


def test_given_proximities_are_taken_as_they_are() -> None:
    given = RNG.normal(size=N)
    neighbourhood = found(None, proximity=given, settings={"strata": "column", "column": "slice"}, column=IDS)
    assert neighbourhood.proximity is given
    assert neighbourhood.description == "proximities given; strata: column"


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(AuditError, match="embeddings"):
        found(None)
    with pytest.raises(AuditError, match="forget set"):
        found(is_forget=np.zeros(N, bool))
    with pytest.raises(ConfigurationError, match="Did you mean 'knn'"):
        found(settings={"proximity": "knnn"})
    with pytest.raises(ConfigurationError, match=r"'knn' has no option 'kk'.*'k'"):
        found(settings={"proximity": "knn(kk=3)"})
