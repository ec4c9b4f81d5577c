"""The calibration: shares, their intervals, the page, and what the answers come to on the shipped pools."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import binomtest

from unlearn_audit.calibration import calibrate, shipped_pool
from unlearn_audit.calibration.deceivers import DECEIVERS
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, SHIPPED
from unlearn_audit.calibration.selftest import run_selftest
from unlearn_audit.calibration.study import Calibration, wilson
from unlearn_audit.calibration.tables import markdown
from unlearn_audit.errors import ConfigurationError

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


@pytest.fixture(scope="module")
def digits() -> Calibration:
    return calibrate(shipped_pool("digits"), draws=100)


def test_wilson_s_interval_is_scipy_s() -> None:
    for hits, draws in ((0, 50), (3, 100), (100, 100)):
        expected = binomtest(hits, draws).proportion_ci(method="wilson")
        assert wilson(hits, draws) == pytest.approx((expected.low, expected.high))


@pytest.mark.slow
def test_honest_models_rarely_fail_and_deceivers_rarely_pass(digits) -> None:
    for k in (3, 4, 5, 8):
        assert digits.cell(HONEST, k).overall.failed <= 0.1
        assert digits.cell("over-forgotten", k).overall.failed >= 0.9
        for kind in DECEIVERS:
            assert digits.cell(kind, k).overall.passed <= 0.2
    assert digits.holds
    assert digits.settled.overall.passed >= digits.cell(HONEST, 8).overall.passed
    assert all(share <= 0.15 for share, _ in digits.withheld.values())


@pytest.mark.slow
def test_four_untouched_models_together_fail_more_often_than_one(digits) -> None:
    together = {(cell.kind, cell.num_references): cell.overall for cell in digits.methods}
    assert together[ORIGINAL, 8].failed > digits.cell(ORIGINAL, 8).overall.failed + 0.2
    assert all(together[HONEST, k].failed <= 0.15 for k in (3, 4, 5, 8))


@pytest.mark.slow
def test_a_retrained_model_seldom_looks_as_if_it_had_seen_an_example(digits) -> None:
    seen = {(cell.kind, cell.num_references): cell.seen for cell in digits.examples}
    for k in (3, 4, 5, 8):
        assert seen[HONEST, k] <= 0.03 < 0.1 < seen[ORIGINAL, k]


@pytest.mark.slow
def test_shares_add_up_and_lie_in_their_intervals(digits) -> None:
    for cell in digits.cells:
        for shares in (cell.overall, *cell.questions.values()):
            assert shares.failed + shares.passed <= 1
            assert shares.failed_interval[0] <= shares.failed <= shares.failed_interval[1]
            assert shares.passed_interval[0] <= shares.passed <= shares.passed_interval[1]
        assert cell.overall.failed >= max(shares.failed for shares in cell.questions.values())
        assert cell.overall.passed <= min(shares.passed for shares in cell.questions.values())


@pytest.mark.slow
def test_the_page_holds_each_kind_of_each_pool(digits) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in markdown([digits]).splitlines() if line.startswith("#")] == [
        line
        for line in page.splitlines()
        if line.startswith("#") and not line.endswith((": memorising", ": generalising"))
    ][:9]
    for name in SHIPPED:
        assert f"## Pool: {name}" in page
    for kind in digits.cells:
        assert f"| {kind.kind} |" in page or kind.kind == HONEST


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 100 draws"):
        calibrate(shipped_pool("digits"), draws=99)


@pytest.mark.slow
def test_the_self_test_passes_and_fails_the_original() -> None:
    found = run_selftest()
    assert found.passed
    outcomes = {row.model: row.outcome for row in found.rows}
    assert outcomes[ORIGINAL] == "fail" and outcomes[HONEST] != "fail"
    assert all(outcomes[kind] != "pass" for kind in DECEIVERS)
