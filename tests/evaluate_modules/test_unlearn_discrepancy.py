import doctest
import importlib

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

evaluate = pytest.importorskip("evaluate")

from unlearn_audit.errors import ConfigurationError  # noqa: E402
from unlearn_audit.evaluate_modules import path  # noqa: E402


@pytest.fixture(scope="module")
def comparison():
    return evaluate.load(path("unlearn_discrepancy"), module_type="comparison")


def test_means_agree_with_scipy(comparison):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30, 5)).astype(np.float32)
    strata = rng.integers(3, size=30)
    found = comparison.compute(
        predictions1=first, predictions2=second, labels=rng.integers(5, size=30), strata=strata.tolist()
    )
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (first, second))
    expected = jensenshannon(p, q, base=2, axis=1) ** 2
    assert found["discrepancy"] == pytest.approx(expected.mean(), abs=1e-6)
    assert found["by_stratum"] == pytest.approx([expected[strata == s].mean() for s in range(3)], abs=1e-6)
    assert found["counts"] == np.bincount(strata).tolist()


def test_strata_must_fit(comparison):
    with pytest.raises(ValueError, match="one stratum for each of 2"):
        comparison.compute(predictions1=[[0.0, 1.0]] * 2, predictions2=[[0.0, 1.0]] * 2, labels=[0, 0], strata=[0])


def test_doctest_runs():
    module = importlib.import_module("unlearn_audit.evaluate_modules.unlearn_discrepancy.unlearn_discrepancy")
    runner = doctest.DocTestRunner()
    example = doctest.DocTestParser().get_doctest(module._KWARGS_DESCRIPTION, {}, "card", None, 0)
    runner.run(example)
    assert runner.summarize().attempted == 5
    assert runner.summarize().failed == 0


def test_an_unknown_module_is_refused():
    with pytest.raises(ConfigurationError, match="Did you mean 'unlearn_discrepancy'"):
        path("unlearn_discrepency")
