import itertools

import numpy as np
import pytest
from scipy import stats

from unlearn_audit.auditing._scores import StratumMeans, _variance, mean
from unlearn_audit.auditing.statistics import (
    LocalityContrast,
    StratumStatistics,
    compare,
    holm,
    pose,
    sampling_variance,
    spearman,
)
from unlearn_audit.errors import AuditError


def distances(k, strata, *, seed=0, j=1, spread=0.1, symmetric=True):
    """Candidate (j, k, S) and references (k, k, S): log-distances are sums of two model effects and noise."""
    rng = np.random.default_rng(seed)
    effects = spread * rng.normal(size=(k + j, strata))
    noise = spread * rng.normal(size=(k + j, k + j, strata)) / 2
    if symmetric:
        noise = (noise + noise.transpose(1, 0, 2)) / np.sqrt(2)
    whole = 0.1 * np.exp(effects[:, None] + effects[None] + noise)
    references = whole[:k, :k].copy()
    references[np.arange(k), np.arange(k)] = np.nan
    return whole[k:, :k], references


def slow_log_ratio(to_references, references, keep):
    """R of one candidate against the references in `keep`, by plain loops."""
    d = np.mean([to_references[k] for k in keep])
    f = np.mean([references[a, b] for a, b in itertools.permutations(keep, 2)])
    return np.log(d / f)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("k", [3, 4, 7])
def test_figures_agree_with_plain_loops(k, symmetric):
    candidate, references = distances(k, 3, seed=k, symmetric=symmetric)
    found = compare(candidate, references, counts=np.array([100, 60, 40]), alpha=0.1)
    for s, stratum in enumerate(found.strata):
        u, r, everyone = candidate[0, :, s], references[:, :, s], list(range(k))
        score = slow_log_ratio(u, r, everyone)
        null = [slow_log_ratio(r[i], r, [x for x in everyone if x != i]) for i in everyone]
        without = [slow_log_ratio(u, r, [x for x in everyone if x != i]) for i in everyone]
        prediction = np.std(null, ddof=1) * (k - 1) / k * np.sqrt(1 + 1 / k)
        jackknife = np.sqrt((k - 1) / k * np.sum((without - np.mean(without)) ** 2))
        width = stats.t.ppf(0.9, k - 1) * jackknife
        np.testing.assert_allclose(stratum.log_ratio, score)
        np.testing.assert_allclose(stratum.ratio, np.exp(score))
        np.testing.assert_allclose(stratum.null, null)
        np.testing.assert_allclose(stratum.p_value, stats.t.sf(score / prediction, min(k - 1, 5)))
        np.testing.assert_allclose(stratum.lower, np.exp(score - width))
        np.testing.assert_allclose(stratum.upper, np.exp(score + width))
        np.testing.assert_allclose(stratum.excess, stratum.discrepancy - stratum.floor)


def test_strata_are_taken_together_by_their_counts():
    candidate, references = distances(4, 3)
    counts = np.array([50, 150, 800])
    found = compare(candidate, references, counts=counts, nearest=2)
    near = compare(
        (candidate[..., :2] @ [0.25, 0.75])[..., None],
        (references[..., :2] @ [0.25, 0.75])[..., None],
        counts=np.array([200]),
    )
    assert found.nearest.count == 200
    np.testing.assert_allclose(found.nearest.p_value, near.overall.p_value)
    np.testing.assert_allclose(found.overall.discrepancy, candidate.mean((0, 1)) @ counts / 1000)
    assert (found.num_candidates, found.num_references) == (1, 4)


def test_one_stratum_is_taken_as_a_list_of_one():
    rng = np.random.default_rng(5)
    candidate, references = rng.normal(size=(2, 4, 6)), rng.normal(size=(4, 4, 6))
    candidate[0, 1, 2] = references[0, 3, 4] = np.nan
    counts, sampling = np.array([5, 0, 7, 1, 9, 3]), np.array([0.1, np.nan, 0.2, np.nan, 0.3, 0.4])
    means = StratumMeans(candidate, references, counts, sampling)
    for stratum in range(6):
        one, listed = means.single(stratum), means.group([stratum])
        assert (one.count, one.sampling) == (listed.count, listed.sampling)
        assert one.to_references.tobytes() == listed.to_references.tobytes()
        assert one.between.tobytes() == listed.between.tobytes()
    assert [means.single(s).num_references for s in range(6)] == [4, 0, 0, 4, 0, 4]


def test_means_and_variances_are_numpys_to_the_last_bit():
    rng = np.random.default_rng(6)
    for shape in ((3,), (5,), (4, 7), (1, 9)):
        values = rng.lognormal(size=shape) * 10.0 ** rng.integers(-8, 8)
        assert mean(values) == values.mean()
        assert [mean(values, axis).tobytes() for axis in range(values.ndim)] == [
            values.mean(axis).tobytes() for axis in range(values.ndim)
        ]
        if values.ndim == 1:
            assert _variance(values) == values.var(ddof=1)


@pytest.mark.parametrize("k", [3, 5, 8])
def test_p_values_of_honest_models_are_uniform_where_effects_are_normal(k):
    rng = np.random.default_rng(k)
    effects = 0.01 * rng.normal(size=(k + 1, 4000))  # one stratum a draw
    whole = np.exp(effects[:, None] + effects[None])
    found = compare(whole[None, k, :k], whole[:k, :k], counts=np.full(4000, 99))
    p_values = np.array([stratum.p_value for stratum in found.strata])
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert abs((p_values <= 0.05).mean() - 0.05) < 0.014  # four standard errors


def test_minimum_detectable_ratio_is_detected_in_four_of_five_audits():
    k, spread = 5, 0.05
    rng = np.random.default_rng(0)

    def audit_with(shift):
        effects = spread * rng.normal(size=k + 1)
        whole = np.exp(effects[:, None] + effects[None])[..., None]
        candidate = whole[None, k, :k] * np.exp(shift)
        return compare(candidate, whole[:k, :k], counts=np.array([999]), tolerance=0.0).overall

    errors = [
        np.log(audit_with(0.0).minimum_detectable_ratio) / np.std(audit_with(0.0).null, ddof=1) for _ in range(500)
    ]
    typical = np.median(errors) * spread * k / (k - 1)
    power = np.mean([audit_with(typical).p_value <= 0.05 for _ in range(500)])
    assert 0.72 < power < 0.9


def test_references_needed_settle_a_score_that_stays_as_it_is():
    candidate, references = distances(4, 1, seed=3, spread=0.3)
    floor = np.nanmean(references)
    found = compare(candidate, references, counts=np.array([99]), tolerance=0.3 * floor).overall
    score, k = found.log_ratio, 4
    assert not found.within_tolerance and score < np.log(1.3)
    error = (np.log(found.upper) - score) / stats.t.ppf(0.95, k - 1)
    widths = {n: stats.t.ppf(0.95, n - 1) * error * np.sqrt(k / n) for n in range(3, 201)}
    assert found.references_needed == min(n for n, width in widths.items() if score + width <= np.log(1.3))


def test_identical_models_are_at_distance_zero_and_within_any_tolerance():
    found = compare(np.zeros((1, 3, 2)), np.zeros((3, 3, 2)), counts=np.array([100, 50]), tolerance=0.0)
    for group in (*found.strata, found.nearest, found.overall):
        assert (group.discrepancy, group.floor, group.excess, group.ratio) == (0.0, 0.0, 0.0, 1.0)
        assert group.p_value == 1.0
        assert group.within_tolerance and not group.above_tolerance


def test_a_copy_of_one_reference_stays_finite():
    _, references = distances(4, 1)
    copy = np.nan_to_num(references[None, 0])
    found = compare(copy, references, counts=np.array([99])).overall
    assert found.ratio < 1
    assert np.isfinite(found.p_value)


def test_one_changed_example_where_all_references_agree_does_not_fail():
    candidate, references = np.full((1, 3, 1), 1 / 500), np.zeros((3, 3, 1))
    found = compare(candidate, references, counts=np.array([500])).overall
    assert found.ratio is None and found.floor == 0
    assert found.p_value > 0.05
    assert not found.above_tolerance and not found.within_tolerance


def test_many_changed_examples_where_all_references_agree_are_told():
    found = compare(np.full((1, 4, 1), 0.2), np.zeros((4, 4, 1)), counts=np.array([500])).overall
    assert found.p_value < 0.001
    assert found.above_tolerance


def test_undefined_and_small_strata_take_no_part():
    candidate, references = distances(4, 3)
    candidate[..., 1] = np.nan
    found = compare(candidate, references, counts=np.array([100, 100, 29]))
    assert [s.takes_part for s in found.strata] == [True, False, False]
    assert found.strata[1] == StratumStatistics(100, False)
    assert found.strata[2].discrepancy is not None and found.strata[2].p_holm is None
    assert found.strata[0].p_holm == found.strata[0].p_value
    assert found.overall.count == 129
    assert found.contrast is None


def test_an_empty_stratum_has_no_figures():
    candidate, references = distances(3, 2)
    candidate[..., 1] = references[..., 1] = np.nan
    found = compare(candidate, references, counts=np.array([40, 0]))
    assert found.strata[1] == StratumStatistics(0, False)
    assert found.overall.discrepancy == pytest.approx(found.strata[0].discrepancy)


@pytest.mark.parametrize(("k", "defined"), [(1, {"discrepancy"}), (2, {"discrepancy", "floor", "excess", "ratio"})])
def test_few_references_give_no_statistics(k, defined):
    candidate, references = distances(k, 2)
    found = compare(candidate, references, counts=np.array([99, 99]))
    for name in ("discrepancy", "floor", "excess", "ratio", "p_value", "p_holm", "lower", "within_tolerance"):
        assert (getattr(found.overall, name) is not None) == (name in defined)
    assert found.contrast is None


def test_signed_measures_use_the_plain_mean():
    rng = np.random.default_rng(0)
    level = rng.normal(size=6) / 100
    whole = (level[:, None] - level[None])[..., None] * np.array([1.0, 0.5])
    found = compare(whole[None, 5, :5], whole[:5, :5], counts=np.array([99, 99]), zero_floor=True)
    near = found.strata[0]
    expected = level[5] - level[:5].mean()
    assert near.floor == 0 and near.ratio is None
    np.testing.assert_allclose(near.excess, expected)
    error = np.std(level[:5], ddof=1) * np.sqrt(1 + 1 / 5)
    np.testing.assert_allclose(near.p_value, stats.t.sf(expected / error, 4))
    width = stats.t.ppf(0.95, 4) * np.std(level[:5], ddof=1) / np.sqrt(5)
    np.testing.assert_allclose([near.lower, near.upper], [expected - width, expected + width])


def test_several_candidates_narrow_the_prediction():
    candidate, references = distances(5, 1, seed=1)
    one = compare(candidate, references, counts=np.array([99])).overall
    four = compare(np.repeat(candidate, 4, axis=0), references, counts=np.array([99])).overall
    assert one.ratio == pytest.approx(four.ratio)
    spread = np.std(one.null, ddof=1) * 4 / 5
    expected = stats.t.sf(one.log_ratio / (spread * np.sqrt(1 / 4 + 1 / 5)), 4)
    assert four.p_value == pytest.approx(expected)


def test_candidates_that_vary_much_are_compared_by_welch():
    _, references = distances(5, 1, seed=1, spread=0.01)
    factors = np.array([0.5, 1.0, 2.0])
    candidate = np.full((3, 5, 1), 0.1) * factors[:, None, None]
    found = compare(candidate, references, counts=np.array([99])).overall
    scores = np.log(candidate.mean((1, 2)) / np.nanmean(references))
    spread, reference = scores.var(ddof=1) / 3, (np.std(found.null, ddof=1) * 4 / 5) ** 2 / 5
    df = (spread + reference) ** 2 / (spread**2 / 2 + reference**2 / 4)
    assert found.p_value == pytest.approx(stats.t.sf(scores.mean() / np.sqrt(spread + reference), df))


def test_locality_contrast_tells_damage_near_the_forget_set():
    candidate, references = distances(6, 3, seed=5, spread=0.05)
    near = candidate * np.array([2.0, 1.5, 1.0])
    found = compare(near, references, counts=np.full(3, 99)).contrast
    scores = [slow_log_ratio(near[0, :, s], references[:, :, s], range(6)) for s in (0, 2)]
    assert found.difference == pytest.approx(scores[0] - scores[1])
    assert found.p_value < 0.01 and 0 < found.lower < found.difference
    even = compare(candidate * 2, references, counts=np.full(3, 99)).contrast
    assert even.p_value > 0.05


def test_contrast_of_a_zero_floor_and_another_is_not_defined():
    candidate, references = distances(4, 2)
    references[..., 1] = 0
    assert compare(candidate, references, counts=np.full(2, 99)).contrast == LocalityContrast()


def test_sampling_error_widens_everything():
    candidate, references = distances(5, 2, seed=2)
    plain = compare(candidate, references, counts=np.full(2, 99)).strata[0]
    wider = compare(candidate, references, counts=np.full(2, 99), sampling=np.array([0.04, 0.04])).strata[0]
    assert wider.lower < plain.lower and wider.upper > plain.upper
    error = np.hypot(np.std(plain.null, ddof=1) * 4 / 5 * np.sqrt(1.2), 0.2)
    assert wider.p_value == pytest.approx(stats.t.sf(plain.log_ratio / error, 4))


def test_sampling_variance_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    floor = rng.gamma(2, size=400)
    discrepancy = 1.3 * floor + rng.gamma(1, size=400)
    stratum = np.repeat([0, 1], 200)
    found = sampling_variance(discrepancy, floor, stratum, 3)
    for s in (0, 1):
        here = np.flatnonzero(stratum == s)
        rows = here[rng.integers(200, size=(4000, 200))]
        scores = np.log(discrepancy[rows].mean(1) / floor[rows].mean(1))
        assert found[s] == pytest.approx(scores.var(), rel=0.15)
    assert found[2] == 0


def test_sampling_variance_of_signed_measures_and_corners():
    gap = np.array([0.1, -0.2, 0.4, np.nan])
    zeros = np.zeros(4)
    found = sampling_variance(gap, zeros, np.zeros(4, int), 1, zero_floor=True)
    assert found[0] == pytest.approx(stats.sem(gap[:3]) ** 2)
    assert sampling_variance(zeros, zeros, np.zeros(4, int), 1)[0] == 0


def test_posing_leaves_one_reference_out():
    _, references = distances(4, 2)
    candidate, others = pose(references, 1)
    assert candidate.shape == (1, 3, 2) and others.shape == (3, 3, 2)
    np.testing.assert_array_equal(candidate[0], references[1, [0, 2, 3]])
    np.testing.assert_array_equal(others[0, 2], references[0, 3])


def test_holm_agrees_with_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = rng.random(6) ** 2
        alpha = 0.2
        rejected, remaining = set(), list(np.argsort(p_values))
        while remaining and p_values[remaining[0]] <= alpha / len(remaining):
            rejected.add(remaining.pop(0))
        assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected
    assert len(holm(np.array([]))) == 0


def test_weighted_holm_agrees_with_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values, weights = rng.random(6) ** 2, rng.integers(1, 5, 6)
        alpha = 0.2
        rejected, remaining = set(), sorted(range(6), key=lambda i: p_values[i] / weights[i])
        while remaining and p_values[remaining[0]] <= alpha * weights[remaining[0]] / sum(weights[remaining]):
            rejected.add(remaining.pop(0))
        assert {i for i, p in enumerate(holm(p_values, weights)) if p <= alpha} == rejected


def test_spearman_agrees_with_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.integers(10, size=100).astype(float), rng.normal(size=100)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert spearman(np.ones(5), y[:5]) is None
    assert spearman(x[:2], y[:2]) is None
    y[3] = np.nan
    assert spearman(x, y) == pytest.approx(stats.spearmanr(np.delete(x, 3), np.delete(y, 3)).statistic)


def test_shapes_are_checked():
    with pytest.raises(AuditError, match=r"Expected candidate \(J, K, S\)"):
        compare(np.zeros((1, 3, 2)), np.zeros((3, 2, 2)), counts=np.ones(2))
