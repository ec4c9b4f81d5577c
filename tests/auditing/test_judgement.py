"""Judgements and verdicts: figures beside the answers, computed again naively, and what an audit comes to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from tests.auditing.made_up_figures import ASKED, group
from unlearn_audit.auditing.controls import check_controls
from unlearn_audit.auditing.judgement import judge, judged_again, level_gone, memorised, pattern_gone
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.suspicions import Suspicion
from unlearn_audit.auditing.verdict import verdict_of

POLICY = Policy()
REFERENCES = [0.30, 0.32, 0.31, 0.29]


def figures(forget: float = 0.31, elsewhere: float = 0.31, *, excess: float = 0.0, references=REFERENCES):
    """All groups of a model: its confidence on the forget set and elsewhere, and its excess on the forget set."""
    return [
        group(
            name,
            levels=[forget if name == "forget" else elsewhere],
            references=references,
            excess=excess if name == "forget" else 0.0,
            spread=0.01,
        )
        for name in ASKED
    ]


HONEST = judge(figures(), POLICY)
ORIGINAL = judge(figures(0.99, excess=0.4), POLICY)
SPREAD = [0.1, 0.3, 0.5, 0.7]


def test_a_retrained_model_passes_an_untouched_one_remembers_and_a_damaged_one_lost_confidence() -> None:
    assert (HONEST.outcome, [answer.outcome for answer in HONEST.answers]) == ("pass", ["pass"] * 3)
    assert ORIGINAL.outcome == "fail"
    assert [answer.how for answer in ORIGINAL.answers] == ["remembers", "", ""]
    damaged = judge(figures(elsewhere=0.1), POLICY)
    assert [answer.how for answer in damaged.answers] == ["", "loses confidence", "loses confidence"]
    assert [len(found.sentences) for found in (HONEST, ORIGINAL, damaged)] == [3, 3, 3]


@pytest.mark.parametrize(("level", "share"), [(0.99, 0.0), (0.305, 1.0), (0.6475, 0.5), (0.2, 1.1533)])
def test_the_share_of_the_way_by_level_is_the_part_that_was_walked(level, share) -> None:
    model, original = figures(level)[0], figures(0.99)[0]
    found = level_gone(model, original, 0.05)
    assert found.value == pytest.approx(share, abs=1e-3)
    bound = stats.t.ppf(0.95, 3) * stats.sem(REFERENCES)
    ends = [(0.99 - level) / (0.99 - mean) for mean in (np.mean(REFERENCES) - bound, np.mean(REFERENCES) + bound)]
    assert (found.lower, found.upper) == pytest.approx((min(ends), max(ends)))
    assert found.lower <= found.value <= found.upper


def test_the_share_of_the_way_by_pattern_is_jackknifed_over_the_references() -> None:
    model, original = group(excess=0.1, references=REFERENCES, seed=1), group(excess=0.4, references=REFERENCES, seed=1)
    found = pattern_gone(model, original, 0.05)

    def share(kept: list[int]) -> float:
        pairs = [(a, b) for a in kept for b in kept if a != b]
        floor = sum(model.reference_discrepancies[a, b] for a, b in pairs) / len(pairs)
        before = sum(original.discrepancies[0, a] for a in kept) / len(kept)
        after = sum(model.discrepancies[0, a] for a in kept) / len(kept)
        return (before - after) / (before - floor)

    parts = [share([a for a in range(4) if a != left_out]) for left_out in range(4)]
    error = np.sqrt(3 / 4 * sum((part - np.mean(parts)) ** 2 for part in parts))
    assert found.value == pytest.approx(share([0, 1, 2, 3]))
    width = stats.t.ppf(0.95, 3) * error
    assert (found.lower, found.upper) == pytest.approx((found.value - width, found.value + width))
    assert found.value == pytest.approx(0.75, abs=0.05)  # of an excess of 0.4, 0.1 is left


def test_no_share_of_a_way_that_may_be_none() -> None:
    near = group(levels=[0.31], references=REFERENCES)
    assert level_gone(group(levels=[0.2], references=REFERENCES), near, 0.05) is None
    assert pattern_gone(group(excess=0.1), group(excess=0.0), 0.05) is None
    assert judge(figures(), POLICY).level_gone is None  # without an original
    known = judge(figures(), POLICY, original=figures(0.99, excess=0.4))
    assert known.level_gone.value == pytest.approx(1, abs=0.01) and known.pattern_gone.value == pytest.approx(1, 0.05)


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_than_three_references_give_no_answer(k) -> None:
    found = judge(figures(references=REFERENCES[:k]), POLICY, original=figures(0.99, references=REFERENCES[:k]))
    assert (found.outcome, found.answers, found.num_references, found.level_gone) == ("inconclusive", (), k, None)
    verdict = verdict_of(found)
    assert (verdict.outcome, verdict.num_references, verdict.references_needed) == ("inconclusive", k, 3)
    assert ("one retrained model" if k == 1 else "2 retrained models") in verdict.reason
    assert memorised(found) == "not known"


def test_nothing_to_forget_and_no_power_to_tell_are_different_answers() -> None:
    assert memorised(ORIGINAL) == "yes"
    assert memorised(HONEST) == "nothing measurable"
    unknown = judge([group(levels=[0.6], references=SPREAD, count=3)], POLICY)
    assert memorised(unknown) == "not known"
    told = {
        original.outcome: check_controls(references={}, original=original).notes[-1]
        for original in (ORIGINAL, HONEST, unknown)
    }
    assert "there was something to forget" in told["fail"]
    assert "Nothing measurable was memorised" in told["pass"]
    assert "is not known" in told["inconclusive"]


def test_judging_findings_again_changes_nothing_and_undoes_what_was_edited() -> None:
    for found in (HONEST, ORIGINAL):
        assert judged_again(found, POLICY, "bits") == found
    answer = dataclasses.replace(ORIGINAL.answers[0], outcome="pass", how="", decisive=1)
    edited = dataclasses.replace(ORIGINAL, outcome="pass", answers=(answer, *ORIGINAL.answers[1:]), sentences=("",) * 3)
    assert judged_again(edited, POLICY, "bits") == ORIGINAL


def test_a_verdict_is_the_judgement_s_outcome_with_the_sentence_that_it_rests_on() -> None:
    assert verdict_of(ORIGINAL).outcome == "fail"
    assert verdict_of(ORIGINAL).reason == ORIGINAL.sentences[0]
    passed = verdict_of(HONEST)
    assert (passed.outcome, passed.num_references, passed.references_needed) == ("pass", 4, None)
    assert "Compared with 4 retrained models" in passed.reason
    forgot_and_damaged = judge(figures(elsewhere=0.1), POLICY)
    assert verdict_of(forgot_and_damaged).reason == forgot_and_damaged.sentences[1]


def test_a_verdict_that_is_open_says_how_many_references_the_hardest_question_needs() -> None:
    judgement = judge(figures(0.345, 0.29, references=[0.28, 0.34, 0.31, 0.33]), POLICY)
    needed = [a.finding.references_needed for a in judgement.answers if a.outcome == "inconclusive"]
    assert len(needed) > 1 and None not in needed
    assert verdict_of(judgement).references_needed == max(needed)
    assert verdict_of(judgement).reason in judgement.sentences


def test_a_withheld_judgement_gives_no_verdict_and_says_why() -> None:
    judgement = judge(figures(0.99), POLICY, withheld=True)
    assert judgement.outcome == "inconclusive" and judgement.answers[0].outcome == "fail"
    verdict = verdict_of(judgement, ("Two references are one model.", "And more."))
    assert verdict.withheld and verdict.outcome == "inconclusive"
    assert verdict.reason == "No verdict is given. Two references are one model."


def test_controls_behave_where_references_pass_and_an_untrained_model_fails() -> None:
    untrained = judge(figures(0.01, 0.01), POLICY)
    found = check_controls(references={"r0": HONEST, "r1": HONEST}, original=ORIGINAL, untrained=untrained)
    assert not found.withheld and all(row.behaves for row in found.rows)
    observed = [(row.role, row.observed) for row in found.rows]
    assert observed == [("reference", "pass")] * 2 + [("original", "fail"), ("untrained", "fail")]


def test_a_reference_that_fails_or_an_untrained_model_that_does_not_raises_an_alarm() -> None:
    found = check_controls(references={"odd": ORIGINAL, "r1": HONEST}, untrained=HONEST)
    assert found.withheld
    assert [row.behaves for row in found.rows] == [False, True, False]
    assert "'odd' fails as a candidate" in found.alarms[0] and "untrained model does not fail" in found.alarms[1]


def test_suspicions_come_first_and_notes_are_kept() -> None:
    suspicion = Suspicion(("r0", "r1"), "The references 'r0' and 'r1' are nearly one model.")
    found = check_controls(references={"odd": ORIGINAL}, suspicions=[suspicion], notes=["A copy was left out."])
    assert found.alarms[0] == suspicion.sentence and len(found.alarms) == 2
    assert found.notes == ("A copy was left out.",)


def test_with_three_references_none_can_pose_and_no_anchor_is_judged_by_fewer() -> None:
    two = judge(figures(references=REFERENCES[:2]), POLICY)
    found = check_controls(references={"r0": two}, original=two, untrained=two)
    assert {row.observed for row in found.rows} == {"not possible"} and not found.withheld
    assert "at least 4 retrained models" in found.rows[0].reason
