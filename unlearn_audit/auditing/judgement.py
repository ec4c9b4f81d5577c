"""The judgement of one model: the answers to the three questions, and the figures that stand beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES, critical_value
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, GroupFigures, Outcome, answer_questions, answers_of, overall
from unlearn_audit.auditing.sentences import sentence

Memorised = Literal["yes", "nothing measurable", "not known"]


@dataclass(frozen=True)
class Share:
    """A share with one-sided bounds at level 1 - alpha."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Judgement:
    """What an audit says of one model, or of J models of one method.

    Attributes:
        outcome: overall: "fail" if an answer fails, "pass" if all pass, "inconclusive" otherwise.
        answers: to the questions, in order; empty with fewer than three retrained models.
        sentences: each answer in words.
        level_gone: share of the way from the original to retraining, by mean confidence on the forget set: 0 for doing
            nothing, 1 for a retrained model; None without an original that differs from retraining.
        pattern_gone: the same by discrepancy on the forget set.
        num_references: K.
        withheld: the outcome is not given, because the references or the controls cannot be trusted.
    """

    outcome: Outcome
    answers: tuple[Answer, ...]
    sentences: tuple[str, ...]
    level_gone: Share | None = None
    pattern_gone: Share | None = None
    num_references: int = 0
    withheld: bool = False


def judge(
    figures: Sequence[GroupFigures],
    policy: Policy,
    *,
    unit: str = "bits",
    original: Sequence[GroupFigures] = (),
    withheld: bool = False,
) -> Judgement:
    """Judge a model by the figures of its groups, which begin with the forget set.

    Args:
        figures: of the model, in each group.
        policy: what is tolerated, and alpha.
        unit: of the discrepancy.
        original: figures of the original model in the same groups, if there is one.
        withheld: give no outcome.
    """
    k = len(figures[0].reference_levels)
    if k < MIN_REFERENCES:
        return Judgement("inconclusive", (), (), num_references=k, withheld=withheld)
    answers = answer_questions(figures, policy)
    before = next((group for group in original if group.name == figures[0].name), None)
    if before is not None and abs(before.levels.mean() - before.reference_levels.mean()) <= policy.level:
        before = None  # no way to go: shares of next to nothing say nothing
    return Judgement(
        "inconclusive" if withheld else overall(answers),
        answers,
        tuple(sentence(answer, policy, unit) for answer in answers),
        None if before is None else level_gone(figures[0], before, policy.alpha),
        None if before is None else pattern_gone(figures[0], before, policy.alpha),
        k,
        withheld,
    )


def judged_again(judgement: Judgement, policy: Policy, unit: str) -> Judgement:
    """Return the judgement that follows from another one's findings: outcomes and sentences are made anew."""
    if not judgement.answers:
        return judgement
    findings = [(answer.question, finding) for answer in judgement.answers for finding in answer.findings]
    answers = answers_of(findings, policy)
    return dataclasses.replace(
        judgement,
        outcome="inconclusive" if judgement.withheld else overall(answers),
        answers=answers,
        sentences=tuple(sentence(answer, policy, unit) for answer in answers),
    )


def memorised(original: Judgement) -> Memorised:
    """Tell from the original's own answers whether there was anything to forget.

    "nothing measurable" is an answer: a model that was not touched passes. "not known" is none: more references, or a
    larger forget set, are needed to tell.
    """
    answer = next((found for found in original.answers if found.question == "forgotten"), None)
    if answer is None or answer.outcome == "inconclusive":
        return "not known"
    return "yes" if answer.outcome == "fail" else "nothing measurable"


def level_gone(model: GroupFigures, original: GroupFigures, alpha: float) -> Share | None:
    """Return (s_o - s_u) / (s_o - mean s_r) with bounds from those of the references' mean; None if it may be 0 / 0."""
    references = model.reference_levels
    error = float(references.std(ddof=1) / np.sqrt(len(references)))
    width = critical_value(alpha, len(references) - 1) * error
    moved = float(original.levels.mean() - model.levels.mean())
    way = float(original.levels.mean() - references.mean())
    if abs(way) <= width:
        return None
    bounds = sorted([moved / (way - width), moved / (way + width)])
    return Share(moved / way, *bounds)


def pattern_gone(model: GroupFigures, original: GroupFigures, alpha: float) -> Share | None:
    """Return (D_o - D_u) / (D_o - F) with jackknife bounds over the references; None if D_o - F may be 0."""
    k = len(model.reference_levels)
    everyone = np.arange(k)
    ways = [_pattern_way(model, original, np.delete(everyone, left_out)) for left_out in range(k)]
    moved, way = _pattern_way(model, original, everyone)
    critical = critical_value(alpha, k - 1)
    if way <= critical * _jackknife([found[1] for found in ways]) or any(found[1] <= 0 for found in ways):
        return None
    width = critical * _jackknife([m / w for m, w in ways])
    return Share(moved / way, moved / way - width, moved / way + width)


def _pattern_way(model: GroupFigures, original: GroupFigures, kept: np.ndarray) -> tuple[float, float]:
    """Return D_o - D_u and D_o - F by the references that are kept."""
    before, after = (float(found.discrepancies[:, kept].mean()) for found in (original, model))
    between = model.reference_discrepancies[np.ix_(kept, kept)]
    apart = ~np.eye(len(kept), dtype=bool)
    return before - after, before - float(between[apart].mean())


def _jackknife(values: Sequence[float]) -> float:
    """Return the jackknife's standard error from the K values with one reference left out."""
    found = np.asarray(values)
    k = len(found)
    return float(np.sqrt((k - 1) / k * ((found - found.mean()) ** 2).sum()))
