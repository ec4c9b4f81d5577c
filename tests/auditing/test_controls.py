import numpy as np
import pytest

from tests.auditing.test_verdict import comparisons
from unlearn_audit.auditing.controls import check_controls
from unlearn_audit.auditing.verdict import Policy


def poses(k, factor=1.0, bad=None):
    """Comparisons of each of K references posing against the K - 1 others."""
    return {
        f"r{i}": comparisons(factor if bad is None or i == bad else 1.0, k=k - 1, spread=0.05, seed=i) for i in range(k)
    }


def test_controls_of_an_audit_that_works_raise_no_alarm():
    controls = check_controls(Policy(), references=poses(5), original=comparisons(1.6), untrained=comparisons(30.0))
    assert not controls.withheld and controls.alarms == () and controls.notes == ()
    assert [row.role for row in controls.rows] == ["reference"] * 5 + ["original", "untrained"]
    assert [row.observed for row in controls.rows[-2:]] == ["fail", "fail"]


def test_a_reference_unlike_the_others_withholds_verdicts():
    controls = check_controls(Policy(), references=poses(6, 4.0, bad=2))
    assert controls.withheld
    assert [row.behaves for row in controls.rows] == [True, True, False, True, True, True]
    assert "'r2'" in controls.alarms[0]


def test_an_untrained_model_that_does_not_fail_withholds_verdicts():
    controls = check_controls(Policy(), references=poses(5), untrained=comparisons(1.0))
    assert controls.withheld and "untrained" in controls.alarms[0]


@pytest.mark.parametrize(("factor", "spread", "word"), [(1.0, 0.02, "passes"), (1.3, 0.3, "does not fail")])
def test_an_original_that_does_not_fail_is_said_but_withholds_nothing(factor, spread, word):
    controls = check_controls(Policy(), references=poses(5), original=comparisons(factor, spread=spread))
    assert not controls.withheld
    assert word in controls.notes[0]


def test_three_references_are_too_few_to_pose():
    controls = check_controls(Policy(), references=poses(3), original=comparisons(k=2))
    assert {row.observed for row in controls.rows} == {"not possible"}
    assert all(row.behaves for row in controls.rows)


def test_all_posing_references_together_raise_a_false_alarm_in_at_most_alpha_of_audits():
    from unlearn_audit.auditing.statistics import compare, pose

    rng = np.random.default_rng(0)
    policy, k, audits = Policy(populations=("forget",), relative=0.0, absolute=0.0), 5, 400
    alarms = 0
    for _ in range(audits):
        effects = 0.05 * rng.normal(size=k)
        whole = np.exp(effects[:, None] + effects[None])[..., None]
        posing = {}
        for i in range(k):
            candidate, others = pose(whole, i)
            found = compare(candidate, others, counts=np.array([99]), tolerance=policy.tolerance, alpha=0.05 / k)
            posing[str(i)] = {"forget": found}
        alarms += check_controls(policy, references=posing).withheld
    assert alarms / audits <= 0.07
