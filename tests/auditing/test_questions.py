"""The three questions, against scipy, plain loops, and models whose truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from tests.auditing.made_up_figures import ASKED, group, honest
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Finding, Priors, answer_questions, answers_of, overall
from unlearn_audit.auditing.statistics import compare
from unlearn_audit.errors import ConfigurationError

POLICY = Policy()


def findings(figures, policy=POLICY) -> dict[tuple[str, str], Finding]:
    answers = answer_questions(figures, policy)
    return {(found.group, found.kind): found for answer in answers for found in answer.findings}


def few_variance(references, count: int) -> float:
    """The variance of a group of few examples: moderated towards 0.09² / n, which counts as one degree of freedom."""
    k = len(references)
    return (0.09**2 / count + (k - 1) * np.var(references, ddof=1)) / k


def slow_variance(own: list[float], all_groups: list[list[float]]) -> tuple[float, int]:
    """Smyth's moderated variance and its degrees of freedom, by plain loops over the groups that take part."""

    def variance(values: list[float]) -> float:
        mean = sum(values) / len(values)
        return sum((value - mean) ** 2 for value in values) / (len(values) - 1)

    prior = 1.0
    for values in all_groups:
        prior *= variance(values) ** (1 / len(all_groups))
    df = len(own) - 1
    return (2 * prior + df * variance(own)) / (2 + df), 2 + df


@pytest.mark.parametrize(
    ("name", "level"), [("forget", 0.57), ("forget", 0.31), ("near_retain", 0.45), ("near_retain", 0.61)]
)
def test_the_level_of_few_examples_is_student_s_t_as_scipy_has_it_with_a_spread_of_nine_points_an_example(
    name, level
) -> None:
    references = [0.44, 0.52, 0.49, 0.55]
    found = findings([group(name, levels=[level], references=references, count=12)])[name, "level"]
    spread = np.sqrt(few_variance(references, 12))
    t = (level - np.mean(references)) / (spread * np.sqrt(1 + 1 / 4))
    expected = 2 * stats.t.sf(abs(t), 4) if name == "forget" else stats.t.cdf(t, 4)
    assert found.p_value == pytest.approx(expected)
    bounds = stats.t.interval(0.9, 4, loc=level - np.mean(references), scale=spread / 2)
    assert (found.lower, found.upper) == pytest.approx(bounds)
    assert (found.value, found.difference) == pytest.approx((level, level - np.mean(references)))


@pytest.mark.parametrize("k", [3, 5, 8])
def test_the_variances_of_large_groups_are_moderated_towards_their_geometric_mean(k) -> None:
    rng = np.random.default_rng(k)
    references = {name: (0.5 + 0.02 * rng.random() * rng.normal(size=k)).tolist() for name in ASKED}
    counts = {name: 29 if name == "other_test" else 30 for name in ASKED}
    figures = [group(name, levels=[0.47], references=references[name], count=counts[name]) for name in ASKED]
    found = findings(figures)
    large = [references[name] for name in ASKED if counts[name] >= 30]
    for name in ASKED:
        own = references[name]
        few = few_variance(own, counts[name]), k
        variance, df = slow_variance(own, large) if counts[name] >= 30 else few
        t = (0.47 - np.mean(own)) / np.sqrt(variance * (1 + 1 / k))
        p_value = 2 * stats.t.sf(abs(t), df) if name == "forget" else stats.t.cdf(t, df)
        assert found[name, "level"].p_value == pytest.approx(p_value)
        width = stats.t.ppf(0.95, df) * np.sqrt(variance / k)
        assert found[name, "level"].upper - found[name, "level"].difference == pytest.approx(width)


def slow_log_ratio(to_references: np.ndarray, between: np.ndarray) -> float:
    """log(D / F), by plain loops over pairs."""
    k = len(to_references)
    floor = sum(between[a][b] for a in range(k) for b in range(k) if a != b) / (k * (k - 1))
    return float(np.log(sum(to_references) / k / floor))


@pytest.mark.parametrize("k", [3, 5, 8])
def test_the_bounds_of_the_pattern_are_moderated_over_large_groups_too(k) -> None:
    rng = np.random.default_rng(k)
    counts = {name: 29 if name == "other_test" else 30 for name in ASKED}
    figures = [
        group(name, references=rng.random(k), excess=0.1 * rng.random(), seed=place, count=counts[name])
        for place, name in enumerate(ASKED)
    ]
    found = findings(figures)
    ratios, variances = {}, {}
    for figure in figures:
        to, between = figure.discrepancies[0], figure.reference_discrepancies
        ratios[figure.name] = slow_log_ratio(to, between)
        without = [
            slow_log_ratio(np.delete(to, out), np.delete(np.delete(between, out, axis=0), out, axis=1))
            for out in range(k)
        ]
        variances[figure.name] = (k - 1) / k * sum((value - sum(without) / k) ** 2 for value in without)
    large = [variances[name] for name in ASKED if counts[name] >= 30]
    prior = np.prod([variance ** (1 / len(large)) for variance in large])
    for name in ASKED:
        variance, df = variances[name], k - 1
        if counts[name] >= 30:
            variance, df = (2 * prior + df * variance) / (2 + df), df + 2
        width = stats.t.ppf(0.95, df) * np.sqrt(variance)
        finding = found[name, "pattern"]
        upper, lower = (finding.expected * np.expm1(ratios[name] + sign * width) for sign in (1, -1))
        assert (finding.upper, finding.lower) == pytest.approx((upper, lower))


def test_no_large_group_no_prior() -> None:
    def priors(*figures):
        return Priors.of(figures, [None] * len(figures))

    assert priors(group(count=29), group("near_retain", count=3)) == Priors(None, None)
    assert priors(group(references=[0.5, 0.6]), group(count=29)).level is None  # two references tell no spread
    assert priors(group(references=[0.5, 0.5, 0.5])).level > 0  # so that its logarithm is finite


@pytest.mark.parametrize("k", [3, 4, 7])
@pytest.mark.parametrize("excess", [0.0, 0.03, 0.3])
def test_the_pattern_is_what_compare_finds(k, excess) -> None:
    figures = group(references=np.linspace(0.4, 0.5, k), excess=excess, seed=k, count=29)  # too few to be moderated
    found = findings([figures])["forget", "pattern"]
    expected = compare(
        figures.discrepancies[..., None],
        figures.reference_discrepancies[..., None],
        counts=np.array([100]),
        tolerance=POLICY.pattern,
    ).overall
    assert found.p_value == pytest.approx(expected.p_value)
    assert (found.value, found.expected) == pytest.approx((expected.discrepancy, expected.floor))
    assert found.lower == pytest.approx(expected.floor * (expected.lower - 1))
    assert found.upper == pytest.approx(expected.floor * (expected.upper - 1))
    assert (found.outside, found.inside) == (expected.above_tolerance, expected.within_tolerance)


def test_identical_models_pass() -> None:
    figures = [group(name, levels=[0.5], references=[0.5] * 3, floor=0.0) for name in ASKED]
    answers = answer_questions(figures, Policy(level=1e-4, pattern=0.0))
    assert [answer.outcome for answer in answers] == ["pass"] * 3


@pytest.mark.parametrize("seed", range(5))
def test_holm_goes_over_all_groups_by_level_and_by_pattern_and_weighs_the_forget_set_threefold(seed) -> None:
    figures = honest(4, np.random.default_rng(seed))
    found = list(findings(figures).values())
    assert len(found) == 2 * len(ASKED)
    remaining = [(finding, 3 if finding.group == "forget" else 1) for finding in found]
    largest = 0.0
    while remaining:  # each step rejects the least p-value for its weight, at its share of what is left
        total = sum(weight for _, weight in remaining)
        step, finding = min(((total * f.p_value / w, f) for f, w in remaining), key=lambda pair: pair[0])
        largest = max(largest, step)
        assert finding.p_holm == pytest.approx(min(1.0, largest))
        remaining = [pair for pair in remaining if pair[0] is not finding]


def test_without_advice_the_answers_are_the_same() -> None:
    figures = honest(4, np.random.default_rng(1))
    silent = answer_questions(figures, POLICY, advise=False)
    for answer, other in zip(answer_questions(figures, POLICY), silent, strict=True):
        assert (answer.outcome, answer.how, answer.decisive) == (other.outcome, other.how, other.decisive)
        for finding, bare in zip(answer.findings, other.findings, strict=True):
            assert bare == dataclasses.replace(finding, detectable=None, references_needed=None)


def made(p_value: float, lower: float, upper: float, *, group: str = "forget", kind: str = "level") -> Finding:
    return Finding(group, kind, 100, 0.5, 0.5, (lower + upper) / 2, lower, upper, p_value)


@pytest.mark.parametrize(
    ("finding", "outcome", "how"),
    [
        (made(0.001, 0.06, 0.10), "fail", "remembers"),
        (made(0.001, -0.10, -0.06), "fail", "over-forgets"),
        (made(0.2, 0.06, 0.10), "inconclusive", ""),  # another retrained model could be as far
        (made(0.001, 0.04, 0.10), "inconclusive", ""),  # it could be within the tolerance
        (made(0.001, 0.02, 0.04), "pass", ""),  # it differs, and not by much
        (made(0.9, -0.04, 0.04), "pass", ""),
        (made(0.9, -0.06, 0.04), "inconclusive", ""),
        (made(0.001, 0.06, 0.10, kind="pattern"), "fail", "predicts otherwise"),
        (made(0.9, -0.40, 0.04, kind="pattern"), "pass", ""),  # nearer than retrained models are to each other
    ],
)
def test_failing_takes_a_p_value_and_a_bound_and_passing_takes_all_bounds(finding, outcome, how) -> None:
    (answer,) = answers_of([("forgotten", finding)], POLICY)
    assert (answer.outcome, answer.how) == (outcome, how)


@pytest.mark.parametrize(
    ("lower", "upper", "outcome"),
    [(-0.10, -0.06, "fail"), (0.06, 0.10, "pass"), (-0.04, 0.10, "pass"), (-0.06, 0.0, "inconclusive")],
)
def test_elsewhere_only_lost_confidence_counts(lower, upper, outcome) -> None:
    (answer,) = answers_of([("neighbours", made(0.001, lower, upper, group="near_retain"))], POLICY)
    assert answer.outcome == outcome
    assert answer.how == ("loses confidence" if outcome == "fail" else "")


def test_one_open_finding_leaves_a_question_open_and_one_open_question_the_whole() -> None:
    inside, beyond = made(0.9, -0.01, 0.01), made(0.9, -0.2, 0.2)
    near = dataclasses.replace(beyond, group="near_retain")
    answers = answers_of([("forgotten", inside), ("neighbours", near), ("neighbours", inside)], POLICY)
    assert [answer.outcome for answer in answers] == ["pass", "inconclusive"]
    assert answers[1].finding.group == "near_retain"
    assert overall(answers) == "inconclusive"
    assert overall(answers[:1]) == "pass"
    assert overall(()) == "inconclusive"
    failed = answers_of([("forgotten", made(0.001, 0.1, 0.2)), ("rest", near)], POLICY)
    assert overall(failed) == "fail"


def test_a_failing_answer_rests_on_level_first_and_on_the_group_that_is_farthest() -> None:
    near = made(0.001, -0.30, -0.20, group="nearest_retain")
    wider = made(0.001, -0.12, -0.08, group="near_retain")
    pattern = made(0.001, 0.6, 0.8, group="nearest_retain", kind="pattern")
    (answer,) = answers_of([("neighbours", finding) for finding in (wider, pattern, near)], POLICY)
    assert answer.finding == dataclasses.replace(near, p_holm=answer.finding.p_holm, outside=True, inside=False)


def test_several_candidates_that_vary_little_are_one_mean() -> None:
    references, levels = [0.44, 0.52, 0.49, 0.55], [0.60, 0.62, 0.61]
    found = findings([group(levels=levels, references=references, count=12)])["forget", "level"]
    error = np.sqrt(few_variance(references, 12) * (1 / 3 + 1 / 4))
    assert found.p_value == pytest.approx(2 * stats.t.sf((0.61 - 0.5) / error, 4))


def test_several_candidates_that_vary_much_are_compared_by_welch_s_test() -> None:
    references, levels = [0.49, 0.50, 0.51, 0.52], [0.40, 0.60, 0.95]
    found = findings([group(levels=levels, references=references, count=12)])["forget", "level"]
    mine, theirs = np.var(levels, ddof=1) / 3, few_variance(references, 12) / 4
    df = (mine + theirs) ** 2 / (mine**2 / 2 + theirs**2 / 4)  # Welch and Satterthwaite, with 2 and 4
    t = (np.mean(levels) - np.mean(references)) / np.sqrt(mine + theirs)
    assert found.p_value == pytest.approx(2 * stats.t.sf(t, df))
    bounds = stats.t.interval(0.9, df, loc=np.mean(levels) - np.mean(references), scale=np.sqrt(mine + theirs))
    assert (found.lower, found.upper) == pytest.approx(bounds)


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_than_three_references_give_figures_and_no_answer(k) -> None:
    answers = answer_questions([group(levels=[0.9], references=[0.5, 0.52][:k])], POLICY)
    level, pattern = answers[0].findings
    assert answers[0].outcome == "inconclusive"
    assert level.difference == pytest.approx(0.9 - np.mean([0.5, 0.52][:k]))
    assert (pattern.expected > 0) == (k == 2)
    assert (level.p_value, level.lower, level.inside, pattern.p_value, pattern.outside) == (None,) * 5


@pytest.mark.parametrize("count", [1, 3])
def test_a_request_of_few_examples_can_fail_and_can_pass(count) -> None:
    spread = [0.30, 0.33, 0.28, 0.31, 0.30]
    for level, outcome in ((0.99, "fail"), (0.305, "pass")):
        figures = [group(levels=[level], references=spread, count=count)]
        assert answer_questions(figures, POLICY)[0].outcome == outcome


def test_few_examples_on_which_retrained_models_differ_widely_settle_nothing_and_say_what_would() -> None:
    figures = [group(levels=[0.6], references=[0.1, 0.9, 0.5, 0.3], count=1)]
    (answer,) = answer_questions(figures, POLICY)
    assert answer.outcome == "inconclusive"
    assert answer.finding.detectable > 0.5


@pytest.mark.parametrize("k", [3, 5])
def test_honest_models_fail_in_at_most_alpha_of_audits(k) -> None:
    rng = np.random.default_rng(k)
    strict = Policy(level=0.0, pattern=0.0)  # so that the tests alone decide
    outcomes = [overall(answer_questions(honest(k, rng), strict)) for _ in range(600)]
    assert np.mean([outcome == "fail" for outcome in outcomes]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize("k", [3, 5])
def test_the_detectable_difference_fails_in_four_of_five_audits(k) -> None:
    rng = np.random.default_rng(k)
    spread, policy = 0.09 / np.sqrt(5), Policy(level=0.0)

    def audited(shift: float) -> Finding:
        own, references = 0.5 + shift + spread * rng.normal(size=1), 0.5 + spread * rng.normal(size=k)
        return findings([group(levels=own, references=references, count=5)], policy)["forget", "level"]

    shift = np.sqrt(np.mean([audited(0.0).detectable ** 2 for _ in range(400)]))  # as if the spread were known
    power = np.mean([audited(shift).p_value <= 0.05 / 2 for _ in range(800)])
    assert 0.74 < power < 0.86


def test_so_many_references_as_are_needed_settle_a_level_that_stays_as_it_is() -> None:
    references = np.array([0.44, 0.52, 0.49, 0.55])
    found = findings([group(levels=[0.52], references=references, count=12)])["forget", "level"]
    assert not found.inside and abs(found.difference) < POLICY.level
    spread = np.sqrt(few_variance(references, 12))
    widths = {n: stats.t.ppf(0.95, n - 1) * spread / np.sqrt(n) for n in range(3, 201)}
    assert found.references_needed == min(n for n, w in widths.items() if abs(found.difference) + w <= POLICY.level)


def test_so_many_references_as_are_needed_show_a_level_that_is_beyond_the_tolerance() -> None:
    references = np.array([0.30, 0.42, 0.36, 0.48])
    found = findings([group(levels=[0.60], references=references, count=12)])["forget", "level"]
    assert found.difference > POLICY.level and not found.fails(POLICY.alpha)
    spread, single = np.sqrt(few_variance(references, 12)), 0.05 / 2 / 2  # two findings of equal weight, and two sides

    def shown(n: int) -> bool:
        beyond = found.difference - stats.t.ppf(0.95, n - 1) * spread / np.sqrt(n) > POLICY.level
        return beyond and found.difference >= stats.t.isf(single, n - 1) * spread * np.sqrt(1 + 1 / n)

    assert found.references_needed == min(n for n in range(3, 201) if shown(n))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"level": -0.1}, "policy.level: expected a number between 0 and 1, got -0.1"),
        ({"pattern": float("nan")}, "policy.pattern"),
        ({"level": True}, "policy.level"),
        ({"alpha": 0.5}, "policy.alpha: expected a number between 0 and 0.5, got 0.5"),
    ],
)
def test_a_policy_s_numbers_are_checked(values, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Policy(**values)
