"""Every measure against an independent computation in float64, and its promises on the corners."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy

from unlearn_audit.measures import registry

MEASURES = registry.names()
KINDS = {"plain": 1.0, "confident": 30.0, "one-hot": 1e4}


def slow(name: str, p: np.ndarray, q: np.ndarray, y: np.ndarray) -> np.ndarray:
    """d(candidate p, reference q), example by example, from probabilities in float64."""
    rows = range(len(y))

    def phi(r: np.ndarray, i: int) -> float:
        return np.log(r[i, y[i]]) - np.log(np.delete(r[i], y[i]).sum())

    return np.array(
        [
            {
                "js": lambda i=i: jensenshannon(p[i], q[i], base=2) ** 2,
                "tv": lambda i=i: np.abs(p[i] - q[i]).sum() / 2,
                "kl": lambda i=i: entropy(q[i], p[i]),
                "disagreement": lambda i=i: p[i].argmax() != q[i].argmax(),
                "confidence_gap": lambda i=i: q[i, y[i]] - p[i, y[i]],
                "margin_gap": lambda i=i: abs(phi(p, i) - phi(q, i)),
                "consensus_flip": lambda i=i: (p[i].argmax() == y[i]) != (q[i].argmax() == y[i]),
            }[name]()
            for i in rows
        ],
        dtype=np.float64,
    )


def draw(classes: int, scale: float, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    candidate, reference = rng.normal(size=(2, n, classes)) * scale
    return candidate, reference, rng.integers(0, classes, n)


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("name", MEASURES)
def test_equals_the_slow_computation(name: str, classes: int) -> None:
    candidate, reference, labels = draw(classes, 1.0)
    expected = slow(name, softmax(candidate, axis=1), softmax(reference, axis=1), labels)
    found = registry.create(name).of_logits(candidate.astype(np.float32), reference.astype(np.float32), labels)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MEASURES)
def test_is_finite_in_range_and_exactly_zero_on_equal_predictions(name: str, kind: str) -> None:
    measure = registry.create(name)
    candidate, reference, labels = draw(100, KINDS[kind], n=500)
    same = measure.of_logits(candidate.astype(np.float32), candidate.astype(np.float32), labels)
    assert torch.equal(same, torch.zeros_like(same))
    found = measure.of_logits(candidate.astype(np.float32), reference.astype(np.float32), labels)
    assert torch.isfinite(found).all()
    assert found.min() >= measure.low
    assert measure.high is None or found.max() <= measure.high
    assert found.abs().max() > 0


@pytest.mark.parametrize("name", MEASURES)
def test_symmetry_is_as_declared(name: str) -> None:
    measure = registry.create(name)
    candidate, reference, labels = draw(10, 2.0)
    forth, back = (
        measure.of_logits(candidate, reference, labels),
        measure.of_logits(reference, candidate, labels),
    )
    if measure.zero_floor and not measure.where_references_agree:
        torch.testing.assert_close(forth, -back)
    elif measure.symmetric:
        torch.testing.assert_close(forth, back)
    else:
        assert not torch.allclose(forth, back)


@pytest.mark.parametrize("name", MEASURES)
def test_the_name_is_that_of_the_file(name: str) -> None:
    measure = registry.create(name)
    assert measure.name == name
    assert measure.title and measure.unit


def test_opposite_one_hots_are_as_far_apart_as_can_be() -> None:
    candidate, reference = np.array([[1e4, 0.0]]), np.array([[0.0, 1e4]])
    for name, expected in {
        "js": 1,
        "tv": 1,
        "disagreement": 1,
        "confidence_gap": -1,
        "consensus_flip": 1,
    }.items():
        assert registry.create(name).of_logits(candidate, reference, [0]).item() == pytest.approx(expected), name
