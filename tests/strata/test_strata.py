"""Strata: edges from the retain set, nearest first, ties together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.neighbourhood import NeighbourhoodConfig, find_neighbourhood
from unlearn_audit.strata import registry

N = 1000
RNG = np.random.default_rng(1)
PROXIMITY = RNG.normal(size=N)
IS_FORGET = np.arange(N) < 50
IS_TEST = np.arange(N) >= 800
IS_RETAIN = ~IS_FORGET & ~IS_TEST
LABELS = RNG.integers(0, 10, N)


def strata_of(proximity: np.ndarray = PROXIMITY, **settings):
    given = {"is_retain": IS_RETAIN, "is_forget": IS_FORGET, "labels": LABELS}
    given |= {name: settings.pop(name) for name in ("is_retain", "labels") if name in settings}
    given |= {"column": settings.pop("values")} if "values" in settings else {}
    found = find_neighbourhood(NeighbourhoodConfig(**settings), proximity=proximity, **given)
    return found.stratum, found.strata


def test_quantiles_hold_equal_counts_of_retain_examples_nearest_first() -> None:
    stratum, strata = strata_of(number=5)
    counts = np.bincount(stratum[IS_RETAIN])
    assert counts.sum() == 750 and counts.max() - counts.min() <= 2
    means = [PROXIMITY[stratum == s].mean() for s in range(5)]
    assert means == sorted(means, reverse=True)
    assert [s.label for s in strata] == ["nearest 20 %", "20 to 40 %", "40 to 60 %", "60 to 80 %", "farthest 20 %"]


@pytest.mark.parametrize("kind", ["quantiles", "equal_width", "top"])
def test_each_example_lies_within_its_stratum_s_edges(kind: str) -> None:
    stratum, strata = strata_of(strata=kind)
    assert stratum.min() >= 0 and stratum.max() < len(strata)
    for index, s in enumerate(strata):
        inside = PROXIMITY[stratum == index]
        assert s.lower is None or (inside > s.lower).all()
        assert s.upper is None or (inside <= s.upper).all()
    assert all(a.lower == b.upper for a, b in itertools.pairwise(strata))


def test_equal_width_edges_are_equally_far_apart() -> None:
    _, strata = strata_of(strata="equal_width", number=10)
    retained = PROXIMITY[IS_RETAIN]
    widths = np.diff([retained.max(), *(s.lower for s in strata[:-1]), retained.min()])
    np.testing.assert_allclose(widths, (retained.min() - retained.max()) / 10)


def test_top_holds_the_named_shares_of_the_retain_set() -> None:
    stratum, strata = strata_of(strata="top")
    shares = np.bincount(stratum[IS_RETAIN], minlength=5) / 750
    np.testing.assert_allclose(shares, [0.005, 0.005, 0.04, 0.05, 0.9], atol=0.002)
    assert strata[0].label == "nearest 0.5 %" and strata[-1].label == "farthest 90 %"


def test_same_class_tells_classes_that_lost_examples() -> None:
    lost = {3, 4}
    labels = np.where(IS_FORGET, RNG.choice([3, 4], N), LABELS)
    stratum, _ = strata_of(strata="same_class", labels=labels)
    assert ((stratum == 0) == np.isin(labels, list(lost))).all()


def test_a_column_makes_one_stratum_a_value() -> None:
    values = np.where(LABELS < 3, "fish", "tree")
    stratum, strata = strata_of(strata="column", column="coarse_label", values=values)
    assert [s.label for s in strata] == ["coarse_label = fish", "coarse_label = tree"]
    assert ((stratum == 0) == (values == "fish")).all()


@pytest.mark.parametrize("kind", ["quantiles", "top"])
@pytest.mark.parametrize("share_of_nearest", [0.003, 0.08, 0.5, 0.97])
def test_ties_stay_together_and_the_nearest_stratum_holds_the_nearest(kind: str, share_of_nearest: float) -> None:
    two = np.where(np.random.default_rng(3).permutation(N) < share_of_nearest * N, 1.0, 0.0)
    two[60] = 1.0  # a retain example at least
    stratum, strata = strata_of(two, strata=kind)
    assert len(strata) == 2
    assert ((stratum == 0) == (two == 1)).all()
    held = 100 * two[IS_RETAIN].mean()
    named = float(strata[0].label.removeprefix("nearest ").removesuffix(" %"))
    assert named == pytest.approx(held, abs=100 / IS_RETAIN.sum())  # the name says what it holds, not what was asked


def test_no_more_quantiles_than_distinct_proximities() -> None:
    few = RNG.integers(0, 3, N).astype(float)
    stratum, strata = strata_of(few)
    assert [few[stratum == index].tolist() for index in range(3)] == [few[few == v].tolist() for v in (2, 1, 0)]
    assert len(strata) == 3
    assert (strata[0].upper, strata[-1].lower) == (None, None)


def test_proximities_that_tell_nothing_are_refused() -> None:
    for same in (np.ones(N), np.zeros(N), 1 + 1e-8 * PROXIMITY):
        for kind in ("quantiles", "equal_width", "top"):
            with pytest.raises(AuditError, match="tell retain examples apart"):
                strata_of(same, strata=kind)
    stratum, strata = strata_of(np.ones(N), number=1)
    assert (stratum == 0).all() and [s.label for s in strata] == ["nearest 100 %"]


def test_bad_input_is_refused() -> None:
    with pytest.raises(AuditError, match="finite"):
        strata_of(np.full(N, np.nan))
    with pytest.raises(AuditError, match="retain"):
        strata_of(is_retain=np.zeros(N, bool))
    with pytest.raises(ConfigurationError, match="quantile"):
        NeighbourhoodConfig(strata="quantile")
    with pytest.raises(ConfigurationError, match="number"):
        NeighbourhoodConfig(number=0)
    with pytest.raises(ConfigurationError, match="column"):
        NeighbourhoodConfig(strata="column")
    with pytest.raises(ConfigurationError, match="column"):
        NeighbourhoodConfig(strata="top", column="coarse_label")
    with pytest.raises(AuditError, match=r"'coarse_label'.*got none"):
        strata_of(strata="column", column="coarse_label")
    assert set(registry.names()) >= {"quantiles", "equal_width", "top", "same_class", "column"}


def test_a_name_states_options_and_the_configuration_s_come_after_it() -> None:
    def count(**settings) -> int:
        return len(strata_of(**settings)[1])

    assert count(strata="quantiles(number=4)") == 4
    assert count(strata="quantiles(number=4)", number=6) == 4
    assert count(strata="quantiles", number=6) == 6
    _, strata = strata_of(strata="top(shares=(0.2, 0.5))", number=6)
    assert [s.label for s in strata] == ["nearest 20 %", "20 to 50 %", "farthest 50 %"]
    values = np.where(LABELS < 3, "fish", "tree")
    assert strata_of(strata="column(column='kind')", values=values)[1][0].label == "kind = fish"


@pytest.mark.parametrize("shares", ["()", "(0.5, 0.5)", "(0, 0.5)", "(0.5, 1.0)"])
def test_shares_that_do_not_rise_from_0_to_1_are_refused(shares: str) -> None:
    with pytest.raises(ConfigurationError, match="rising"):
        NeighbourhoodConfig(strata=f"top(shares={shares})")
