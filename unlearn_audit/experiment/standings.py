"""What a leaderboard shows: the three questions and the cost, by method and forget set, over several models."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from unlearn_audit.auditing.groups import QUESTIONS, Question
from unlearn_audit.auditing.questions import Answer, Outcome
from unlearn_audit.auditing.report import AuditReport


@dataclass(frozen=True)
class Mean:
    """A mean over `count` models with its standard error (None for one model)."""

    value: float
    error: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Mean | None:
        """Return the mean of those that are known; None where none is."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        error = stdev(known) / math.sqrt(len(known)) if len(known) > 1 else None
        return cls(fmean(known), error, len(known))


@dataclass(frozen=True)
class Told:
    """One question of one model.

    Attributes:
        outcome: of the answer.
        level: difference of mean confidence in the group where it is largest (forgotten) or most is lost, in [-1, 1].
        pattern: excess of the measure in the group where it is largest, in the measure's unit.
    """

    outcome: Outcome
    level: float
    pattern: float

    @classmethod
    def of(cls, answer: Answer) -> Told:
        """Take the worst of an answer's findings by level, and the worst by pattern."""
        levels = [each.difference for each in answer.findings if each.kind == "level"]
        patterns = [each.difference for each in answer.findings if each.kind == "pattern"]
        level = max(levels, key=abs) if answer.question == "forgotten" else min(levels)
        return cls(answer.outcome, level, max(patterns))


@dataclass(frozen=True)
class JudgedModel:
    """One unlearned model.

    Attributes:
        method: label of the method.
        forget: name of the forget set.
        outcome: of its verdict; None where there is no model, since it diverged or stayed as it was.
        questions: what was told of it, by question; empty with fewer than three retrained models, and of no model.
        gone: share of the way from the original to retraining, by level on the forget set.
        cost: of making it, as a share of one retraining.
        tuning_cost: of the whole search before, as a number of retrainings.
    """

    method: str
    forget: str
    outcome: Outcome | None
    questions: dict[Question, Told]
    gone: float | None
    cost: float | None
    tuning_cost: float | None


UNTOUCHED = "original"  # of which a report says what doing nothing gets


def without_model(report: AuditReport, name: str, *, forget: str, tuning_seconds: float) -> JudgedModel:
    """Return what is to be said of a candidate that came to no model: what its search cost."""
    cost = _in_retrainings(report, tuning_seconds)
    return JudgedModel(_method(name), forget, None, {}, gone=None, cost=None, tuning_cost=cost)


def _method(name: str) -> str:
    return name if name == UNTOUCHED else name.rpartition("-")[0]


def _in_retrainings(report: AuditReport, seconds: float) -> float | None:
    retrained = Mean.of(reference.seconds for reference in report.by_role("reference"))
    return None if retrained is None else seconds / retrained.value


def judged(report: AuditReport, name: str, *, forget: str, tuning_seconds: float = 0.0) -> JudgedModel:
    """Return what a report says of `name`: a method's label and the number of its model, or the original."""
    judgement, model = report.judgements[name], report.model(name)
    return JudgedModel(
        method=_method(name),
        forget=forget,
        outcome=judgement.outcome,
        questions={answer.question: Told.of(answer) for answer in judgement.answers},
        gone=None if judgement.level_gone is None else judgement.level_gone.value,
        cost=model.seconds_share,
        tuning_cost=_in_retrainings(report, tuning_seconds),
    )


@dataclass(frozen=True)
class QuestionStanding:
    """One question over the models of a method: how many got which answer, level and pattern."""

    outcomes: dict[str, int]
    level: Mean | None
    pattern: Mean | None


@dataclass(frozen=True)
class Standing:
    """One method on one forget set: the figures of `JudgedModel` over its models, `without` of which came to none."""

    method: str
    forget: str
    without: int
    outcomes: dict[str, int]
    questions: dict[Question, QuestionStanding]
    gone: Mean | None
    cost: Mean | None
    tuning_cost: Mean | None

    @classmethod
    def of(cls, models: Sequence[JudgedModel]) -> Standing:
        """Put the models of one method on one forget set together."""
        questions: dict[Question, QuestionStanding] = {}
        for question in QUESTIONS:
            told = [model.questions[question] for model in models if question in model.questions]
            questions[question] = QuestionStanding(
                dict(Counter(each.outcome for each in told)),
                Mean.of(each.level for each in told),
                Mean.of(each.pattern for each in told),
            )
        return cls(
            models[0].method,
            models[0].forget,
            sum(model.outcome is None for model in models),
            dict(Counter(model.outcome for model in models if model.outcome is not None)),
            questions,
            Mean.of(model.gone for model in models),
            Mean.of(model.cost for model in models),
            Mean.of({model.tuning_cost for model in models}),  # one search for all
        )


@dataclass(frozen=True)
class Standings:
    """All methods on all forget sets, in the order of the configuration; `trials` each search had."""

    title: str
    trials: int
    rows: tuple[Standing, ...]

    @classmethod
    def of(cls, title: str, trials: int, models: Iterable[JudgedModel]) -> Standings:
        """Put models together by forget set and method."""
        groups: dict[tuple[str, str], list[JudgedModel]] = {}
        for model in models:
            groups.setdefault((model.forget, model.method), []).append(model)
        return cls(title, trials, tuple(Standing.of(group) for group in groups.values()))
