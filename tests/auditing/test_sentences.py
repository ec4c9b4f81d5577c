"""The answers in words: each way an answer can come out, and what a reader must learn from it."""

from __future__ import annotations

import pytest

from tests.auditing.made_up_figures import ASKED, group
from unlearn_audit.auditing.groups import GROUP_TITLES
from unlearn_audit.auditing.judgement import judge
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, Finding
from unlearn_audit.auditing.sentences import sentence

POLICY = Policy()


def answer(question: str, outcome: str, how: str = "", **changes) -> Answer:
    values = {
        "group": "forget",
        "kind": "level",
        "count": 100,
        "value": 0.789,
        "expected": 0.334,
        "difference": 0.455,
        "lower": 0.431,
        "upper": 0.479,
        "p_value": 0.0001,
        "p_holm": 0.0004,
        "references_needed": 7,
    }
    return Answer(question, outcome, how, (Finding(**{**values, **changes}),), 0)


@pytest.mark.parametrize(
    ("given", "opening"),
    [
        (answer("forgotten", "fail", "remembers"), "It remembers: it recognises the deleted examples better"),
        (answer("forgotten", "fail", "over-forgets"), "It over-forgets: it recognises the deleted examples worse"),
        (answer("forgotten", "pass"), "It knows the deleted examples as models do that never saw them."),
        (answer("forgotten", "inconclusive"), "Not settled on the forget set."),
        (
            answer("neighbours", "fail", "loses confidence", group="near_test"),
            "It lost confidence on the test examples nearest to the forget set.",
        ),
        (
            answer("rest", "fail", "predicts otherwise", group="other_test", kind="pattern"),
            "Its predictions on the other test examples are unlike any retrained model's.",
        ),
        (
            answer("neighbours", "pass", group="same_class_retain"),
            "Within the tolerance everywhere; the farthest is the retained examples of the same classes.",
        ),
        (answer("rest", "inconclusive", group="other_retain"), "Not settled on the other retained examples."),
    ],
)
def test_each_outcome_has_its_words(given, opening) -> None:
    assert sentence(given, POLICY).startswith(opening)


def test_figures_stand_in_units_that_people_can_weigh() -> None:
    level = sentence(answer("forgotten", "fail", "remembers"), POLICY)
    assert "Mean confidence in the label 79 %, retrained models 33 %: +45.5 points" in level
    assert "(+43.1 to +47.9, tolerance 5, p < 0.001)." in level
    pattern = sentence(answer("rest", "fail", "predicts otherwise", kind="pattern", p_holm=0.013), POLICY, "nats")
    assert "Discrepancy 0.789 nats, between retrained models 0.334: excess +0.455" in pattern
    assert "(+0.431 to +0.479, tolerance 0.045, p = 0.013)." in pattern
    bare = sentence(answer("rest", "inconclusive", lower=None, upper=None, p_holm=None), POLICY)
    assert "+45.5 points (tolerance 5)." in bare


@pytest.mark.parametrize(("needed", "advice"), [(7, "About 7 retrained models would settle it"), (None, "No reason")])
def test_what_is_open_says_what_would_settle_it(needed, advice) -> None:
    assert advice in sentence(answer("rest", "inconclusive", references_needed=needed), POLICY)
    assert "settle" not in sentence(answer("rest", "pass", references_needed=needed), POLICY)


@pytest.mark.parametrize(("disagreement", "agrees"), [(0.12, True), (0.30, False), (None, False)])
def test_a_failing_model_whose_decisions_agree_is_told_so(disagreement, agrees) -> None:
    given = answer(
        "rest", "fail", "loses confidence", group="other_test", disagreement=disagreement, reference_disagreement=0.11
    )
    assert ("Its decisions there agree with theirs (12 % differ, and 11 %" in sentence(given, POLICY)) == agrees


def test_a_model_damaged_only_on_its_50_nearest_neighbours_is_told_of_these() -> None:
    """The nearest group is damaged; the nearest tenth holds it and is harmed a little; nothing else is."""
    damage = {"nearest_retain": 0.45, "near_retain": 0.12}
    figures = [group(n, levels=[0.9 - damage.get(n, 0)], references=[0.90, 0.91, 0.89, 0.90]) for n in ASKED]
    judgement = judge(figures, POLICY)
    assert [found.outcome for found in judgement.answers] == ["pass", "fail", "pass"]
    assert GROUP_TITLES["nearest_retain"] in judgement.sentences[1]
    assert GROUP_TITLES["near_retain"] not in judgement.sentences[1]
