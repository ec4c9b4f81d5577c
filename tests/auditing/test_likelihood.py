"""Likelihood ratios of single examples, against plain loops with scipy, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from unlearn_audit.auditing.likelihood import likelihood_ratios


def slow_ratio(example: int, margins, original, references) -> float:
    """log10 of two densities of Student's t with a moderated variance, one example at a time."""
    k, seen = len(references), len(original)
    logs = [np.log(np.var([model[i] for model in references], ddof=1)) for i in range(len(margins))]
    prior = np.exp(sum(logs) / len(logs))
    mine = [model[example] for model in references]
    variance = (2 * prior + (k - 1) * np.var(mine, ddof=1)) / (k + 1)
    centre = sum(model[example] for model in original) / seen
    knows = stats.t(k + 1, loc=centre, scale=np.sqrt(variance * (1 + 1 / seen))).pdf(margins[example])
    never = stats.t(k + 1, loc=sum(mine) / k, scale=np.sqrt(variance * (1 + 1 / k))).pdf(margins[example])
    return float(np.log10(knows / never))


@pytest.mark.parametrize(("k", "originals", "n"), [(3, 1, 1), (5, 1, 12), (8, 3, 4)])
def test_it_is_the_ratio_of_two_students(k, originals, n) -> None:
    rng = np.random.default_rng(k)
    margins, original, references = rng.normal(size=n), rng.normal(2, 1, (originals, n)), rng.normal(0, 1, (k, n))
    expected = [slow_ratio(example, margins, original, references) for example in range(n)]
    assert likelihood_ratios(margins, original, references) == pytest.approx(expected)


@pytest.mark.parametrize("k", [3, 5, 8])
def test_models_that_never_saw_an_example_rarely_look_as_if_they_had_and_others_often_do(k) -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    spread = rng.lognormal(0, 0.4, n)
    references, original = spread * rng.normal(size=(k, n)), 4 + spread * rng.normal(size=(1, n))
    never, knows = spread * rng.normal(size=n), 4 + spread * rng.normal(size=n)
    assert (likelihood_ratios(never, original, references) >= 1).mean() <= 0.05
    assert (likelihood_ratios(knows, original, references) >= 1).mean() >= 0.4
    nothing_learned = spread * rng.normal(size=(1, n))  # the original knows no more than the others do
    assert (likelihood_ratios(never, nothing_learned, references) >= 1).mean() <= 0.1


def test_references_that_agree_wholly_give_finite_ratios() -> None:
    found = likelihood_ratios(np.array([100.0, -100.0]), np.full((1, 2), 100.0), np.full((3, 2), 100.0))
    assert np.isfinite(found).all()
