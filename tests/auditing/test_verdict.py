import dataclasses

import numpy as np
import pytest

from unlearn_audit.auditing.controls import Control, Controls
from unlearn_audit.auditing.statistics import compare
from unlearn_audit.auditing.verdict import Policy, decide, verdict_groups
from unlearn_audit.errors import ConfigurationError

STRATA = 4


def comparisons(factor=1.0, *, k=5, spread=0.02, seed=0, policy=None, counts=100):
    """Comparisons of a candidate whose distances are `factor` (a number, or one a stratum) times a retrained one's."""
    policy = policy or Policy()
    rng = np.random.default_rng(seed)
    found = {}
    for population in policy.populations:
        strata = 1 if population == "forget" else STRATA
        effects = spread * rng.normal(size=(k + 1, strata))
        effects[k] = 0.0
        whole = 0.1 * np.exp(effects[:, None] + effects[None])
        factors = np.broadcast_to(factor, STRATA)[:strata]
        found[population] = compare(
            whole[None, k, :k] * factors,
            whole[:k, :k],
            counts=np.full(strata, counts),
            nearest=policy.nearest,
            tolerance=policy.tolerance,
            alpha=policy.alpha,
        )
    return found


def test_a_candidate_like_a_retrained_model_passes():
    verdict = decide(Policy(), comparisons())
    assert verdict.outcome == "pass"
    assert verdict.num_references == 5
    assert "within the tolerance" in verdict.reason


def test_a_damaged_candidate_fails():
    verdict = decide(Policy(), comparisons(2.0))
    assert verdict.outcome == "fail"
    assert "times the noise floor" in verdict.reason and "5 retrained models" in verdict.reason


def test_damage_near_the_forget_set_alone_fails_on_the_nearest_examples():
    policy = Policy(populations=("retain",))
    verdict = decide(policy, comparisons([2.0, 1.6, 1.0, 0.6], policy=policy))
    assert verdict.outcome == "fail"
    assert "the nearest retain examples" in verdict.reason


def test_too_few_references_to_settle_it_is_inconclusive_and_says_how_many_would():
    verdict = decide(Policy(), comparisons(1.1, k=3, spread=0.2))
    assert verdict.outcome == "inconclusive"
    assert verdict.references_needed > 3
    assert f"about {verdict.references_needed} would settle it" in verdict.reason


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_than_three_references_give_no_verdict(k):
    verdict = decide(Policy(), comparisons(k=k))
    assert (verdict.outcome, verdict.references_needed) == ("inconclusive", 3)
    assert "at least 3" in verdict.reason


def test_excess_within_the_tolerance_does_not_fail_however_clear_it_is():
    found = comparisons(1.15, spread=0.001)
    assert all(group.p_holm < 0.001 for group in verdict_groups(Policy(), found))
    assert decide(Policy(), found).outcome == "pass"
    strict = Policy(relative=0.05)
    assert decide(strict, comparisons(1.15, spread=0.001, policy=strict)).outcome == "fail"


def test_a_spread_of_the_retrained_models_as_large_as_the_excess_does_not_fail():
    verdict = decide(Policy(), comparisons(1.5, spread=0.4, seed=3))
    assert verdict.outcome == "inconclusive"


def test_p_values_are_corrected_over_all_groups_of_all_populations():
    found = comparisons(1.04)
    groups = verdict_groups(Policy(), found)
    assert [group.name for group in groups] == [
        "the nearest retain examples",
        "all retain examples",
        "the forget set",
    ]
    p_values = np.array([group.statistics.p_value for group in groups])
    assert groups[p_values.argmin()].p_holm == pytest.approx(3 * p_values.min())


def test_all_strata_are_judged_one_by_one_where_the_policy_says_so():
    policy = Policy(populations=("retain",), strata="all")
    groups = verdict_groups(policy, comparisons(policy=policy))
    assert [group.name for group in groups] == [f"retain stratum {i}" for i in range(STRATA)] + ["all retain examples"]


def test_a_population_with_few_examples_gives_no_verdict():
    verdict = decide(Policy(), comparisons(counts=5))
    assert verdict.outcome == "inconclusive"
    assert "fewer than 30" in verdict.reason
    partial = comparisons()
    del partial["forget"]
    assert decide(Policy(), partial).outcome == "inconclusive"


@pytest.mark.parametrize("strata", [2, "all"])
def test_nothing_passes_where_the_nearest_examples_are_too_few_to_test(strata):
    policy = Policy(populations=("retain",), strata=strata)
    counts = np.array([9, 12, 400, 400])
    verdict = decide(policy, comparisons([3.0, 3.0, 1.0, 1.0], policy=policy, counts=counts))
    assert verdict.outcome == "inconclusive"
    assert "nearest retain examples" in verdict.reason
    assert decide(policy, comparisons(3.0, policy=policy, counts=counts)).outcome == "fail"
    enough = comparisons(policy=policy, counts=np.array([40, 40, 400, 400]))
    assert decide(policy, enough).outcome == "pass"


def test_the_nearest_of_two_strata_are_not_everything():
    reference = np.full((4, 4, 2), 0.1)
    candidate = np.array([0.2, 0.1]) * np.ones((1, 4, 2))
    found = compare(candidate, reference, counts=np.array([50, 50]), nearest=2)
    assert found.nearest.ratio == pytest.approx(2) and found.overall.ratio == pytest.approx(1.5)


def test_misbehaving_controls_withhold_the_verdict():
    row = Control("r0", "reference", "must not fail", "fail", False, "Because.")
    verdict = decide(Policy(), comparisons(2.0), controls=Controls((row,), ("The model fails.",)))
    assert verdict.withheld and verdict.outcome == "inconclusive"
    assert verdict.reason == "No verdict is given: the model fails."
    assert not decide(Policy(), comparisons(2.0), controls=Controls((row,))).withheld


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.3, 3.0])
def test_reasons_are_one_sentence_without_promises(factor):
    for k in (1, 3, 6):
        reason = decide(Policy(), comparisons(factor, k=k)).reason
        assert reason.endswith(".") and ". " not in reason
        assert not any(word in reason.lower() for word in ("proof", "guarantee", "certified", "compliant"))


def test_policy_comes_from_a_mapping():
    policy = Policy.from_mapping({"measure": "tv", "populations": ["test"], "strata": "all", "alpha": 0.01})
    assert policy == Policy(measure="tv", populations=("test",), strata="all", alpha=0.01)
    assert Policy.from_mapping({"populations": "retain"}).populations == ("retain",)
    assert Policy.from_mapping(None) == Policy()
    assert Policy.from_mapping(dataclasses.asdict(policy)) == policy


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"relativ": 0.1}, r"policy\.relativ: there is no such key\. Did you mean 'relative'"),
        ({"alpha": 0.7}, r"policy\.alpha: expected a number between 0 and 0\.5, got 0\.7"),
        ({"alpha": "low"}, r"policy\.alpha"),
        ({"relative": -1}, r"policy\.relative: expected a number of at least 0"),
        ({"absolute": True}, r"policy\.absolute"),
        ({"strata": 0}, r"policy\.strata: expected a number of nearest strata or 'all', got 0"),
        ({"strata": "some"}, r"policy\.strata"),
        ({"populations": ["retain", "valid"]}, r"policy\.populations"),
        ({"populations": []}, r"policy\.populations"),
        ({"populations": 3}, r"policy\.populations: expected a list"),
        ({"measure": 3}, r"policy\.measure"),
        (["js"], r"policy: expected keys and values"),
    ],
)
def test_a_wrong_policy_is_refused_by_its_key(mapping, message):
    with pytest.raises(ConfigurationError, match=message):
        Policy.from_mapping(mapping)
