"""Three questions on one model: is it forgotten, are its neighbours unharmed, is everything else unharmed?

Each is asked of groups of examples, by *level* (mean confidence in the label, directed) and by *pattern* (mean
discrepancy to the retrained models over that between them). The model is the unit of replication throughout: a group
of three examples can be judged as one of three thousand can, because what is uncertain is how another retrained model
would have come out, and the K references show that. The examples of a group are taken as given, not as a sample.

A finding fails where its p-value, corrected over all findings on the model (Holm), is at most alpha *and* the bound
that is nearer to retraining is outside the tolerance; it is settled the other way where all its bounds are inside. A
question fails if one of its findings does, passes if all are inside, and is not settled otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unlearn_audit.auditing._changing import changed
from unlearn_audit.auditing._scores import (
    FEW_DF,
    FEW_SPREAD,
    MAX_TAIL_DF,
    MIN_COUNT,
    MIN_REFERENCES,
    Group,
    Scores,
    StandardErrors,
    critical_value,
    jackknife_variance,
    moderated,
    p_value_of,
    prior_of,
    scores_of,
    standard_errors,
    welch,
)
from unlearn_audit.auditing._settling import detectable_difference, references_to_settle
from unlearn_audit.auditing.groups import QUESTIONS, Question
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.statistics import holm

Kind = Literal["level", "pattern"]
Outcome = Literal["pass", "fail", "inconclusive"]
# Of the questions in the correction over all findings: whether it is forgotten has few groups, and is asked first.
WEIGHTS: dict[Question, float] = {"forgotten": 3.0, "neighbours": 1.0, "rest": 1.0}


@dataclass(frozen=True, eq=False)
class GroupFigures:
    """What the questions look at, for one group of examples.

    Attributes:
        name: of the group.
        question: that it belongs to.
        count: examples.
        levels: (J,) mean confidence in the label of the J candidates, in [0, 1].
        reference_levels: (K,) that of the retrained models.
        discrepancies: (J, K) means of d(u_j, r_k), in the unit of the measure.
        reference_discrepancies: (K, K) means of d(r_k, r_l); the diagonal is not looked at.
        disagreement: share of examples on which the candidates' top-1 class is another than a reference's, mean of K.
        reference_disagreement: the same between references.
    """

    name: str
    question: Question
    count: int
    levels: np.ndarray
    reference_levels: np.ndarray
    discrepancies: np.ndarray
    reference_discrepancies: np.ndarray
    disagreement: float | None = None
    reference_disagreement: float | None = None


@dataclass(frozen=True)
class Finding:
    """One group of examples, by level or by pattern. None: K does not allow it.

    Attributes:
        group: name of the group, a key of `GROUP_TITLES`.
        kind: "level" or "pattern".
        count: examples.
        value: mean confidence in the label; or mean discrepancy to the retrained models.
        expected: the retrained models' mean confidence; or the noise floor.
        difference: value - expected: in confidence, negative is lost; in the measure's unit, the excess.
        lower: one-sided lower bound of the difference, at level 1 - alpha.
        upper: one-sided upper bound.
        p_value: that one more retrained model would differ as much: two-sided for the level of the forget set,
            one-sided otherwise (towards lost confidence; towards a larger discrepancy).
        p_holm: corrected over all findings on this model (Holm, with the questions' `WEIGHTS`).
        outside: whether the bound that is nearer to retraining is outside the tolerance.
        inside: whether all bounds that matter are inside.
        detectable: the least difference, without sign, that would fail in 80 % of audits like this one.
        references_needed: about how many references would settle it, if the model keeps its difference.
        disagreement: share of examples on which its top-1 class is another than a reference's.
        reference_disagreement: the same between references.
    """

    group: str
    kind: Kind
    count: int
    value: float
    expected: float
    difference: float
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    outside: bool | None = None
    inside: bool | None = None
    detectable: float | None = None
    references_needed: int | None = None
    disagreement: float | None = None
    reference_disagreement: float | None = None

    def fails(self, alpha: float) -> bool:
        """Whether it fails at level alpha."""
        return bool(self.outside and self.p_holm is not None and self.p_holm <= alpha)


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        question: "forgotten", "neighbours" or "rest".
        outcome: "pass", "fail" or "inconclusive".
        how: for "fail": "remembers", "over-forgets" (forget set by level), "loses confidence" (others by level) or
            "predicts otherwise" (by pattern alone); empty otherwise.
        findings: level and pattern of each of its groups, nearest first.
        decisive: index into `findings` of the one that the answer rests on.
    """

    question: Question
    outcome: Outcome
    how: str
    findings: tuple[Finding, ...]
    decisive: int

    @property
    def finding(self) -> Finding:
        """The finding that the answer rests on."""
        return self.findings[self.decisive]


def answer_questions(figures: Sequence[GroupFigures], policy: Policy, *, advise: bool = True) -> tuple[Answer, ...]:
    """Answer the three questions on one model, or on J models of one method; a question without a group is left out.

    Args:
        figures: of each group, nearest first; all with the same J and K.
        policy: what is tolerated, and alpha.
        advise: say what could be detected, and what would settle each finding, too.
    """
    total = 2 * sum(WEIGHTS[group.question] for group in figures)
    scored = [_scored(group) for group in figures]
    priors = Priors.of(figures, scored)
    found = []
    for group, scores in zip(figures, scored, strict=True):
        share = WEIGHTS[group.question] / total
        found.append((group.question, _level(group, policy, share, priors.level, advise)))
        found.append((group.question, _pattern(group, scores, policy, share, priors.pattern, advise)))
    return answers_of(found, policy)


def answers_of(findings: Sequence[tuple[Question, Finding]], policy: Policy) -> tuple[Answer, ...]:
    """Return the answers that follow from all findings on a model, each with the question that it belongs to."""
    asked = [question for question, _ in findings]
    weights = np.array([WEIGHTS[question] for question in asked])
    corrected = _corrected([_placed(finding, question, policy) for question, finding in findings], weights)
    return tuple(
        _answer(question, [f for f, q in zip(corrected, asked, strict=True) if q == question], policy)
        for question in QUESTIONS
        if question in asked
    )


def _placed(finding: Finding, question: Question, policy: Policy) -> Finding:
    """Tell from the bounds whether the finding is outside or inside the tolerance."""
    if finding.lower is None or finding.upper is None:
        return finding
    if finding.kind == "pattern":
        near, far, limit = finding.lower, finding.upper, policy.pattern
    elif question == "forgotten":
        near = max(finding.lower, -finding.upper)
        far, limit = max(finding.upper, -finding.lower), policy.level
    else:
        near, far, limit = -finding.upper, -finding.lower, policy.level
    return changed(finding, outside=near > limit, inside=far <= limit)


def overall(answers: Sequence[Answer]) -> Outcome:
    """Return "fail" if an answer fails, "pass" if all pass, and "inconclusive" otherwise, or without answers."""
    outcomes = {answer.outcome for answer in answers}
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "inconclusive"


def _corrected(findings: list[Finding], weights: np.ndarray) -> list[Finding]:
    if any(finding.p_value is None for finding in findings):
        return findings
    adjusted = holm(np.array([finding.p_value for finding in findings]), weights)
    return [changed(f, p_holm=float(p)) for f, p in zip(findings, adjusted, strict=True)]


@dataclass(frozen=True)
class Priors:
    """Variances that the groups of an audit share; None without large groups.

    Three references tell their spread badly, and the groups of one audit have spreads of one size: each group's
    variance is moderated towards the geometric mean of all, as one more estimate with `PRIOR_DF` degrees of freedom
    (Smyth 2004). Groups of few examples spread more and do not take part: their levels have a prior of their own.

    Attributes:
        level: variance of mean confidence between references.
        pattern: variance of R over references, by the jackknife.
    """

    level: float | None
    pattern: float | None

    @classmethod
    def of(cls, figures: Sequence[GroupFigures], scored: Sequence[Scores | None]) -> Priors:
        """Find the priors in the figures and scores of all groups; scores are None with fewer than three references."""
        large = [(group, scores) for group, scores in zip(figures, scored, strict=True) if _is_moderated(group)]
        ratios = [jackknife_variance(scores) for _, scores in large if scores is not None and scores.logarithmic]
        return cls(prior_of([float(group.reference_levels.var(ddof=1)) for group, _ in large]), prior_of(ratios))


def _is_moderated(group: GroupFigures) -> bool:
    return group.count >= MIN_COUNT and len(group.reference_levels) >= MIN_REFERENCES


def _scored(group: GroupFigures) -> Scores | None:
    """Score the pattern of a group; None with fewer than three references."""
    k = group.discrepancies.shape[1]
    if k < MIN_REFERENCES:
        return None
    between = np.where(np.eye(k, dtype=bool), 0.0, group.reference_discrepancies)
    return scores_of(Group(group.count, group.discrepancies, between, 0.0), zero_floor=False)


def _level(group: GroupFigures, policy: Policy, share: float, prior: float | None, advise: bool) -> Finding:
    """Judge the mean confidence: Student's t of the candidates' mean against the K references' values.

    `share` of alpha is what the test has for itself before others are rejected.
    """
    expected = float(group.reference_levels.mean())
    value = float(group.levels.mean())
    found = Finding(
        group.name,
        "level",
        group.count,
        value,
        expected,
        value - expected,
        disagreement=group.disagreement,
        reference_disagreement=group.reference_disagreement,
    )
    k = len(group.reference_levels)
    if k < MIN_REFERENCES:
        return found
    errors = _errors_of_levels(group, prior)
    two_sided = group.question == "forgotten"
    width = critical_value(policy.alpha, errors.confidence_df) * errors.confidence
    lost = -found.difference if not two_sided else abs(found.difference)
    p_value = p_value_of(lost, errors.prediction, errors.prediction_df)
    sides = 2 if two_sided else 1
    single = policy.alpha * share / sides
    tested = changed(
        found,
        lower=found.difference - width,
        upper=found.difference + width,
        p_value=min(1.0, sides * p_value),
    )
    if not advise:
        return tested
    return changed(
        tested,
        detectable=min(1.0, detectable_difference(errors, policy.level, policy.alpha, single)),
        references_needed=references_to_settle(lost, policy.level, errors, k, policy.alpha, single, None),
    )


def _errors_of_levels(group: GroupFigures, prior: float | None) -> StandardErrors:
    """Return the standard errors of the J candidates' mean level minus the K references' mean."""
    j, k = len(group.levels), len(group.reference_levels)
    own = float(group.reference_levels.var(ddof=1))
    if group.count < MIN_COUNT:
        reference, df = moderated(own, k - 1, FEW_SPREAD**2 / group.count, FEW_DF)
    else:
        reference, df = moderated(own, k - 1, prior)
    spread = float(group.levels.var(ddof=1)) if j > 1 else 0.0
    prediction, prediction_df = reference * (1 / j + 1 / k), df
    if spread > reference:  # J candidates that vary more than retrained models do
        prediction, prediction_df = welch(spread / j, j - 1, reference / k, df)
    confidence, confidence_df = reference / k, df
    if spread > 0:
        confidence, confidence_df = welch(spread / j, j - 1, reference / k, df)
    return StandardErrors(float(np.sqrt(prediction)), prediction_df, float(np.sqrt(confidence)), confidence_df)


def _pattern(
    group: GroupFigures, scores: Scores | None, policy: Policy, share: float, prior: float | None, advise: bool
) -> Finding:
    """Judge the excess by R = log(D / F) against the references' own, one left out at a time."""
    k = group.discrepancies.shape[1]
    between = np.where(np.eye(k, dtype=bool), 0.0, group.reference_discrepancies)
    floor = float(between.sum() / (k * (k - 1))) if k > 1 else 0.0
    value = float(group.discrepancies.mean())
    found = Finding(
        group.name,
        "pattern",
        group.count,
        value,
        floor,
        value - floor,
        disagreement=group.disagreement,
        reference_disagreement=group.reference_disagreement,
    )
    if scores is None:
        return found
    errors = standard_errors(scores, 0.0, 0.0, prior if scores.logarithmic and _is_moderated(group) else None)
    score = float(scores.candidates.mean())
    limit = float(np.log1p(policy.pattern / floor)) if scores.logarithmic else policy.pattern
    width = critical_value(policy.alpha, errors.confidence_df) * errors.confidence
    single = policy.alpha * share

    def excess(bound: float) -> float:
        return float(floor * np.expm1(min(bound, 700.0))) if scores.logarithmic else bound

    tested = changed(
        found,
        lower=excess(score - width),
        upper=excess(score + width),
        p_value=p_value_of(score, errors.prediction, errors.prediction_df),
    )
    if not advise:
        return tested
    return changed(
        tested,
        detectable=excess(detectable_difference(errors, limit, policy.alpha, single)),
        references_needed=references_to_settle(score, limit, errors, k, policy.alpha, single, MAX_TAIL_DF),
    )


def _answer(question: Question, findings: list[Finding], policy: Policy) -> Answer:
    failing = [place for place, finding in enumerate(findings) if finding.fails(policy.alpha)]
    if failing:
        place = max(failing, key=lambda p: (findings[p].kind == "level", _beyond(findings[p], policy)))
        return Answer(question, "fail", _how(question, findings[place]), tuple(findings), place)
    open_places = [place for place, finding in enumerate(findings) if not finding.inside]
    place = max(open_places or range(len(findings)), key=lambda p: _reach(findings[p], policy))
    return Answer(question, "inconclusive" if open_places else "pass", "", tuple(findings), place)


def _how(question: Question, finding: Finding) -> str:
    if finding.kind == "pattern":
        return "predicts otherwise"
    if question == "forgotten":
        return "remembers" if finding.difference > 0 else "over-forgets"
    return "loses confidence"


def _tolerated(finding: Finding, policy: Policy) -> float:
    return policy.level if finding.kind == "level" else policy.pattern


def _beyond(finding: Finding, policy: Policy) -> float:
    """Return how many tolerances a failing finding is away."""
    return abs(finding.difference) / max(_tolerated(finding, policy), 1e-12)


def _reach(finding: Finding, policy: Policy) -> float:
    """Return how many tolerances away the farthest bound is that matters."""
    if finding.upper is None or finding.lower is None:
        return _beyond(finding, policy)
    far = finding.upper if finding.kind == "pattern" else -finding.lower
    if finding.kind == "level" and finding.group == "forget":
        far = max(far, finding.upper)
    return far / max(_tolerated(finding, policy), 1e-12)
