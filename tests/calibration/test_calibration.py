import dataclasses
from pathlib import Path

import numpy as np
import pytest

from unlearn_audit.auditing.controls import check_controls
from unlearn_audit.auditing.many import bounds, limits, outcomes, p_values
from unlearn_audit.auditing.statistics import compare, pose
from unlearn_audit.auditing.verdict import Policy, decide
from unlearn_audit.calibration.draws import (
    HONEST,
    Means,
    draw,
    ratios_to_all,
    shares,
    verdict_shares,
    wilson,
    withheld_share,
)
from unlearn_audit.calibration.pool import KINDS, PoolSize, load_pool
from unlearn_audit.calibration.rivals import BOUNDS, TESTS, USED, USED_BOUNDS
from unlearn_audit.calibration.simulation import EFFECTS, simulate, simulate_at_tolerance
from unlearn_audit.calibration.study import NUM_REFERENCES, calibrate, study
from unlearn_audit.calibration.tables import markdown
from unlearn_audit.errors import ConfigurationError

STRATA = 4


def synthetic_means(*, models=20, others=2, spread=0.1, seed=0):
    """A pool of made-up discrepancies: honest models, originals that are 1.5 times as far, and untrained ones."""
    rng = np.random.default_rng(seed)
    found = {}
    for population, strata in (("retain", STRATA), ("forget", 1)):
        effects = spread * rng.normal(size=(models, strata))
        whole = 0.1 * np.exp(effects[:, None] + effects[None]) * ~np.eye(models, dtype=bool)[..., None]
        found[population] = np.repeat(whole[None], others, axis=0)
    far = {"original": 1.5, "untrained": 20.0}
    return Means(
        retrained=found,
        others={kind: {p: found[p][:, :others] * f + 0.01 for p in found} for kind, f in far.items()},
        counts={"retain": np.full((others, STRATA), 100), "forget": np.full((others, 1), 60)},
    )


def compared(candidate, references, counts, policy):
    parts = {"retain": (slice(None, -1), counts), "forget": (slice(-1, None), np.array([60]))}
    return {
        p: compare(
            candidate[..., part],
            references[..., part],
            counts=n,
            nearest=policy.nearest,
            tolerance=policy.tolerance,
            alpha=policy.alpha,
        )
        for p, (part, n) in parts.items()
    }


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("kind", [HONEST, "original"])
def test_verdicts_of_many_audits_at_once_are_those_that_decide_gives(k, kind):
    policy = Policy(relative=0.1)
    found = draw(synthetic_means(), kind, k, 40, np.random.default_rng(0))
    failed, passed = outcomes(*found.verdict_groups(policy.nearest), policy)
    for i in range(40):
        verdict = decide(policy, compared(found.candidate[None, i], found.references[i], found.counts[i], policy))
        assert (verdict.outcome == "fail", verdict.outcome == "pass") == (failed[i], passed[i])
    assert len({*failed, *passed}) == 2


def test_withheld_share_agrees_with_the_controls_of_an_audit():
    policy = Policy(relative=0.0, absolute=0.0, alpha=0.3)
    found = draw(synthetic_means(spread=0.3), HONEST, 5, 30, np.random.default_rng(1))
    strict = dataclasses.replace(policy, alpha=policy.alpha / 5)
    withheld = [
        check_controls(
            policy,
            references={str(k): compared(*pose(found.references[i], k), found.counts[i], strict) for k in range(5)},
        ).withheld
        for i in range(30)
    ]
    assert withheld_share(found, policy) == pytest.approx(np.mean(withheld))
    assert any(withheld)


def test_an_honest_draw_never_compares_a_model_with_itself():
    means = synthetic_means()
    for _ in range(20):
        found = draw(means, HONEST, 8, 50, np.random.default_rng(3))
        assert (found.candidate > 0).all()
        assert ((found.references == 0).sum((1, 2)) == 8).all()


@pytest.mark.parametrize("effects", EFFECTS)
def test_simulated_effects_have_mean_zero_and_the_asked_spread(effects):
    found = simulate(3, 0.1, effects, 20_000, np.random.default_rng(0))
    logs = np.log(found.candidate[..., -1]) - np.log(0.03)  # a_u + a_k + noise
    assert abs(logs.mean()) < 0.01
    expected = 0.1**2 * (2 + (2 / 3) ** 2)
    assert logs.var() == pytest.approx(expected, rel=0.15)


def test_honest_simulated_candidates_fail_in_at_most_alpha():
    for k in NUM_REFERENCES:
        found = verdict_shares(simulate(k, 0.15, "exponential", 4000, np.random.default_rng(k)), Policy())
        assert found.interval[0] <= 0.05


@pytest.mark.parametrize("group", [0, 2])
def test_simulated_candidates_at_the_tolerance_have_that_ratio_to_many_references(group):
    found = simulate_at_tolerance(
        100, (0.2, 0.1, 0.3), "exponential", 40, np.random.default_rng(0), group=group, relative=0.25
    )
    candidate, references = found.verdict_groups(1)
    ratios = candidate.mean(1) / (references.sum((1, 2)) / (100 * 99))
    assert ratios[:, group].mean() == pytest.approx(1.25, rel=0.03)
    assert (np.delete(ratios, group, axis=1) < 1.1).all()


@pytest.mark.parametrize("k", [3, 5, 8])
def test_candidates_at_the_tolerance_pass_in_at_most_alpha_of_audits(k):
    policy, rng = Policy(), np.random.default_rng(k)
    found = simulate_at_tolerance(k, (0.1, 0.1, 0.2), "normal", 4000, rng, group=2, relative=policy.relative)
    _, passed = outcomes(*found.verdict_groups(policy.nearest), policy)
    assert wilson(int(passed.sum()), len(passed))[0] <= policy.alpha


def test_the_nearest_strata_are_never_all_of_them():
    found = simulate(3, 0.1, "normal", 5, np.random.default_rng(0))  # two retain strata
    candidate, _ = found.verdict_groups(2)
    np.testing.assert_allclose(candidate[..., 0], found.candidate[..., 0])


def test_bounds_with_one_variance_are_narrower_only_where_a_group_varies_more():
    found = simulate(4, 0.1, "normal", 200, np.random.default_rng(0))
    candidate, references = found.verdict_groups(1)
    widths = {name: np.ptp(bound(candidate, references, 0.05), axis=0) for name, bound in BOUNDS.items()}
    own, pooled, careful = widths.values()
    assert (careful >= pooled - 1e-12).all()
    assert (pooled < own).any() and (pooled > own).any()
    assert np.ptp(pooled, axis=1).max() < 1e-12 < np.ptp(own, axis=1).max()
    np.testing.assert_array_equal(own, np.ptp(BOUNDS[USED_BOUNDS](candidate, references, 0.05), axis=0))
    assert (limits(references, Policy()) > 0).all() and bounds is BOUNDS[USED_BOUNDS] and p_values is TESTS[USED]


def test_intervals():
    low, high = wilson(0, 100)
    assert low == 0 and high == pytest.approx(0.037, abs=0.001)
    found = shares(np.array([True, True, False, False]), np.zeros(4, bool), np.array([0, 0, 1, 1]))
    assert (found.failed, found.passed, found.inconclusive) == (0.5, 0.0, 0.5)
    assert found.over_models == (0.0, 1.0)  # it all depends on the candidate


def test_the_study_of_a_made_up_pool_is_written_as_tables():
    found = study(synthetic_means(), draws=100)
    assert {kind for kind, _, _ in found.verdicts} == {HONEST, "original", "untrained"}
    assert found.verdicts["untrained", 8, 0.25].failed == 1.0
    text = markdown(found)
    for title in (
        "Honest candidates",
        "Power",
        "Wrong passes",
        "Tolerance",
        "Single strata",
        "Tests compared",
        "Bounds compared",
        "Simulation",
    ):
        assert f"## {title}\n" in text
    assert all(text.count(f"| {name} |") == 3 * len(NUM_REFERENCES) + 1 for name in TESTS)
    assert all(text.count(f"| {name} |") == len(NUM_REFERENCES) for name in BOUNDS)
    assert all(len(line) == 0 or line[-1] == "|" for line in text.splitlines() if line.startswith("|"))


def test_a_test_stands_by_its_p_values_its_verdicts_and_the_simulation():
    found = study(synthetic_means(), draws=100)
    stand = {standing.test: standing for standing in found.standings()}
    assert stand["rank"].holds and stand["rank"].power == 0  # it never rejects
    cells = [cell for cell in found.tests if cell.test == USED]
    assert stand[USED].power == pytest.approx(
        np.mean([cell.tolerated[kind] for cell in cells for kind in ("original", "untrained")])
    )
    worse = [dataclasses.replace(cell, tolerated={**cell.tolerated, HONEST: 0.06}) for cell in found.tests]
    assert not any(standing.verdicts for standing in dataclasses.replace(found, tests=worse).standings())
    worse = [dataclasses.replace(cell, interval=(0.06, 0.2)) for cell in found.tests]
    assert not any(standing.p_values for standing in dataclasses.replace(found, tests=worse).standings())
    skewed = [dataclasses.replace(cell, tolerated={"exponential": 0.2}) for cell in found.simulated_tests]
    assert not any(s.simulated for s in dataclasses.replace(found, simulated_tests=skewed).standings())


def test_the_calibration_page_chooses_the_test_that_verdicts_use():
    page = Path(__file__).parents[2] / "docs" / "calibration.md"
    assert f"Here that is: {USED}." in page.read_text(encoding="utf-8").replace("\n", " ")


def test_ratios_to_all_agree_with_plain_loops():
    means = synthetic_means(models=6)
    between = means.retrained["forget"][0, ..., 0]
    floor = between.sum() / 30
    np.testing.assert_allclose(ratios_to_all(means, HONEST, 2)[0, :, 2], between.sum(1) / 5 / floor)
    far = means.others["untrained"]["forget"][1, ..., 0].mean(1) / floor
    np.testing.assert_allclose(ratios_to_all(means, "untrained", 2)[1, :, 2], far)


def test_too_few_draws_are_refused():
    with pytest.raises(ConfigurationError, match="at least 100 draws, got 5"):
        calibrate(draws=5)


def test_a_pool_is_trained_once_and_then_read(tmp_path, monkeypatch):
    from unlearn_audit.calibration import pool as module

    monkeypatch.setattr(module, "TRAINING", {**module.TRAINING, "epochs": 0.2})
    size, told = PoolSize(retrained=1, others=1), []
    kinds = ("original", "noisy original", "retrained", "untrained")
    first = load_pool(size, folder=tmp_path, kinds=kinds, progress=lambda *step: told.append(step))
    assert [name for name, _, _ in told] == ["original 0", "retrained 0", "noisy original 0", "untrained 0"]
    monkeypatch.setattr(module, "_make", None)  # nothing may be made again
    second = load_pool(size, folder=tmp_path, kinds=kinds)
    assert set(second.predictions) == set(kinds) < set(KINDS)
    for kind in kinds:
        np.testing.assert_array_equal(first.predictions[kind][0].logits, second.predictions[kind][0].logits)
    original, noisy = first.predictions["original"][0].logits, first.predictions["noisy original"][0].logits
    assert np.abs(original - noisy).max() > 0
