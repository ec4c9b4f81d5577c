"""What is wrong with references is found, and honest ones are seldom suspected."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from unlearn_audit.auditing.suspicions import ReferenceFigures, Suspicion, suspicions

K = 5


def probabilities(models: int, *, seed: int = 0, n: int = 300) -> np.ndarray:
    """Predictions (models, n) of a class of two: what is shared by all, and what is a model's own."""
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-2 * rng.normal(size=n) - rng.normal(size=(models, n))))


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each of `first` from each of `second`."""
    return np.abs(first[:, None] - second[None]).mean(axis=-1)


def figures(references: np.ndarray, others: dict[str, np.ndarray] | None = None, **changes) -> ReferenceFigures:
    k = len(references)
    values = {
        "names": [f"r{i}" for i in range(k)],
        "between": distances(references, references),
        "others": {name: distances(model[None], references)[0] for name, model in (others or {}).items()},
        "forget_levels": 0.3 + 0.01 * np.cos(np.arange(k)),
        "test_accuracies": 0.8 + 0.004 * np.sin(np.arange(k)),
        "examples": np.full(k, 50_000),
    }
    return ReferenceFigures(**{**values, **changes})


def found(given: ReferenceFigures) -> tuple[Suspicion, ...]:
    return suspicions(given, tolerance=0.05, alpha=0.05)


HONEST = probabilities(K + 1)
REFERENCES = HONEST[:K]


@pytest.mark.parametrize("k", [1, 2, 3, 5, 12])
def test_honest_references_are_not_suspected(k) -> None:
    models = probabilities(k + 2, seed=k)
    assert found(figures(models[:k], {"honest": models[k], "original": models[k + 1]})) == ()


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_copy_is_found_also_with_noise(noise) -> None:
    copy = REFERENCES[1] + noise * np.random.default_rng(0).normal(size=300)
    (only,) = found(figures(np.vstack([REFERENCES[:4], copy])))
    assert only.models == ("r1", "r4")
    assert "nearly one model" in only.sentence and "Leave one of them out" in only.sentence


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("name", ["ltd", "original"])
def test_a_reference_that_is_a_candidate_or_the_original_is_found(name, noise) -> None:
    posing = REFERENCES[2] + noise * np.random.default_rng(0).normal(size=300)
    (only,) = found(figures(REFERENCES, {"honest": HONEST[K], name: posing}))
    assert only.models == ("r2", name)
    assert f"'r2' is nearly the model '{name}'" in only.sentence


def test_a_reference_that_knows_the_forget_set_is_found() -> None:
    levels = np.array([0.31, 0.30, 0.92, 0.29, 0.30])
    (only,) = found(figures(REFERENCES, forget_levels=levels))
    assert only.models == ("r2",)
    assert "recognises the deleted examples better" in only.sentence
    assert "92 %, the others 30 %" in only.sentence


@pytest.mark.parametrize("level", [0.10, 0.34])
def test_knowing_less_or_a_little_more_is_not_suspicious(level) -> None:
    levels = np.array([0.310, 0.311, level, 0.309, 0.310])
    assert found(figures(REFERENCES, forget_levels=levels)) == ()


@pytest.mark.parametrize("odd", [0.60, 0.95])
def test_an_unequal_test_accuracy_is_found_on_either_side(odd) -> None:
    accuracies = np.array([0.80, odd, 0.81, 0.80, 0.79])
    (only,) = found(figures(REFERENCES, test_accuracies=accuracies))
    assert only.models == ("r1",) and f"{100 * odd:.1f} %, the others 80.0 %" in only.sentence
    assert found(figures(REFERENCES, test_accuracies=None)) == ()


def test_unequal_training_is_found() -> None:
    (only,) = found(figures(REFERENCES, examples=np.array([50_000, 50_000, 30_000, 50_500, 50_000])))
    assert only.models == ("r2", "r3") and "30,000" in only.sentence and "50,500" in only.sentence
    assert found(figures(REFERENCES, examples=np.array([50_000, 50_000, 49_000, 50_500, 50_000]))) == ()
    assert found(figures(REFERENCES, examples=None)) == ()


def test_all_that_is_wrong_is_told_copies_first() -> None:
    copies = np.vstack([REFERENCES[:4], REFERENCES[1]])
    given = figures(
        copies,
        {"ltd": REFERENCES[0]},
        forget_levels=np.array([0.31, 0.30, 0.92, 0.29, 0.30]),
        examples=np.array([1, 2, 1, 1, 1]),
    )
    assert [suspicion.models for suspicion in found(given)] == [("r1", "r4"), ("r0", "ltd"), ("r2",), ("r0", "r1")]


@pytest.mark.parametrize("k", [3, 4, 8])
def test_honest_references_are_falsely_suspected_in_at_most_alpha_of_audits(k) -> None:
    """With spreads so wide that no tolerance helps: the tests alone hold the rate."""
    rng = np.random.default_rng(k)
    quiet = figures(probabilities(k, seed=k))
    knowing = unequal = 0
    for _ in range(1000):
        levels, accuracies = 0.3 * rng.normal(size=(2, k))
        knowing += bool(found(dataclasses.replace(quiet, forget_levels=levels)))
        unequal += bool(found(dataclasses.replace(quiet, test_accuracies=accuracies)))
    for suspected in (knowing, unequal):
        assert stats.binomtest(suspected, 1000, 0.05, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("k", [3, 5, 8])
def test_honest_models_are_no_copies_in_a_thousand_draws(k) -> None:
    suspected = sum(bool(found(figures(probabilities(k, seed=seed, n=60)))) for seed in range(1000))
    assert suspected == 0
