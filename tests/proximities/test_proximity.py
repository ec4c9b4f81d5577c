"""Proximities against slow computations in float64."""

from __future__ import annotations

import numpy as np
import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.proximities import _search as search
from unlearn_audit.proximities import nearest, registry

RNG = np.random.default_rng(0)
FORGET = RNG.normal(size=(7, 5)).astype(np.float32)
OTHERS = RNG.normal(size=(40, 5)).astype(np.float32)
EVERYTHING = np.concatenate([FORGET, OTHERS])
OWN = np.concatenate([np.arange(7), np.full(40, -1)])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_centroid_is_the_cosine_to_the_mean_forget_embedding() -> None:
    expected = [cosine(row, FORGET.mean(axis=0)) for row in EVERYTHING]
    found = registry.create("centroid")(EVERYTHING, FORGET, own=OWN)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_knn_is_the_mean_cosine_to_the_nearest_others(k: int, monkeypatch) -> None:
    monkeypatch.setattr(search, "BLOCK_NUMBERS", 50)  # several blocks
    expected = []
    for row, own in zip(EVERYTHING, OWN, strict=True):
        cosines = sorted((cosine(row, f) for i, f in enumerate(FORGET) if i != own), reverse=True)
        expected.append(np.mean(cosines[: min(k, 6)]))
    found = registry.create("knn", k=k)(EVERYTHING, FORGET, own=OWN)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_nearest_names_the_forget_example() -> None:
    cosines, index = nearest(OTHERS, FORGET, k=2)
    for row, found, values in zip(OTHERS, index, cosines, strict=True):
        order = np.argsort([-cosine(row, f) for f in FORGET])
        assert found.tolist() == order[:2].tolist()
        assert values[0] >= values[1]


def test_a_single_forget_example_is_near_itself() -> None:
    assert registry.create("knn")(FORGET[:1], FORGET[:1], own=np.array([0])).tolist() == [1.0]


@pytest.mark.parametrize("name", registry.names())
def test_every_proximity_does_not_depend_on_length_and_is_finite_at_zero(name: str) -> None:
    proximity = registry.create(name)
    np.testing.assert_allclose(proximity(OTHERS, FORGET), proximity(OTHERS * 7, FORGET * 3), atol=1e-6)
    assert np.isfinite(proximity(np.zeros((2, 5)), FORGET)).all()


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "'ten'"])
def test_a_number_of_neighbours_is_a_whole_number_of_at_least_one(k: object) -> None:
    with pytest.raises(ConfigurationError, match="k: expected a whole number of at least 1"):
        registry.create(f"knn(k={k})")
