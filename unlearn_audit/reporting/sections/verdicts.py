"""What was audited, the verdict on each candidate with its three answers, and what doing nothing scores: the top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.briefly import answer_word
from unlearn_audit.auditing.policy import FirstPolicy
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.auditing.statistics import MIN_REFERENCES
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting.charting import measure_title, model_title
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import MINUS, whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.judgement import Share
    from unlearn_audit.auditing.report import AuditReport, ModelRecord

__all__ = ["verdicts"]

TEMPLATE = """
{% macro shown(verdict) %}
  <li class="{{ verdict.kind or 'anchor' }}">
    <h3>{% if verdict.word %}<span class="badge {{ verdict.kind }}">{{ verdict.word }}</span> {% endif %}
    {{ verdict.candidate }}</h3>
    {% if not verdict.answers or verdict.kind == "none" %}<p>{{ verdict.sentence }}</p>{% endif %}
    {% if verdict.answers %}
    <dl class="answers">
      {% for answer in verdict.answers %}
      <div>
        <dt>{{ answer.title }} <span class="word {{ answer.kind }}">{{ answer.word }}</span></dt>
        <dd>{{ answer.sentence }}</dd>
      </div>
      {% endfor %}
    </dl>
    {% endif %}
    {% if verdict.beside %}<p class="soft">{{ verdict.beside }}</p>{% endif %}
  </li>
{% endmacro %}
<p class="lead">{{ subject }}</p>
{% if alarms %}
<div class="alarm" role="alert">
  {% for alarm in alarms %}
  <p>{{ alarm }}</p>
  {% endfor %}
</div>
{% endif %}
<ul class="verdict-list">
  {% for verdict in verdicts %}{{ shown(verdict) }}{% endfor %}
  {% for verdict in untouched %}{{ shown(verdict) }}{% endfor %}
</ul>
{% for note in notes %}
<p class="note-line">{{ note }}</p>
{% endfor %}
<p class="policy">{{ policy }}</p>
"""
WORDS = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}


@dataclass(frozen=True)
class ShownAnswer:
    """The answer to one question as a person reads it; `kind` is "pass", "fail", "inconclusive" or "none"."""

    title: str
    kind: str
    word: str
    sentence: str


@dataclass(frozen=True)
class ShownVerdict:
    """A verdict as a person reads it; `kind` is "pass", "fail", "inconclusive", "none", or empty where none is due."""

    kind: str
    word: str
    candidate: str
    sentence: str
    answers: tuple[ShownAnswer, ...] = ()
    beside: str = ""


def _values(shown: ShownAudit) -> dict[str, Any]:
    report = shown.report
    return {
        "subject": subject(report),
        "alarms": alarms(report),
        "verdicts": shown_verdicts(report),
        "untouched": doing_nothing(report),
        "notes": () if report.controls is None else report.controls.notes,
        "policy": policy_sentence(report),
    }


verdicts = Section("verdicts", "Verdicts", order=0, template=TEMPLATE, values=_values, at_top=True)


def subject(report: AuditReport) -> str:
    """Say what was audited, in one line."""
    counts = {p: sum(stratum.counts.get(p, 0) for stratum in report.strata) for p in POPULATIONS}
    return (
        f"{report.data.name}, {len(report.data.class_names)} classes: {whole(counts['retain'])} retained and "
        f"{whole(counts['test'])} test examples. Forget set: {report.forget_set.description}, "
        f"{whole(report.forget_set.size)} examples. Compared with K = {retrained_models(report.num_references)}."
    )


def retrained_models(count: int) -> str:
    """Write a number of retrained models, as "4 retrained models"."""
    return f"{count} retrained {'model' if count == 1 else 'models'}"


def alarms(report: AuditReport) -> tuple[str, ...]:
    """Return what must stand at the top: controls that misbehaved, in their own words."""
    return () if report.controls is None else report.controls.alarms


def shown_verdicts(report: AuditReport) -> tuple[ShownVerdict, ...]:
    """Return each candidate's verdict, the worst first; one that was withheld, or that K forbids, is no verdict."""
    return tuple(shown_verdict(report, report.model(name)) for name in worst_first(report))


def shown_verdict(report: AuditReport, model: ModelRecord) -> ShownVerdict:
    """Return the verdict on one candidate."""
    verdict = report.verdicts[model.name]
    given = has_verdict(report, model.name)
    return ShownVerdict(
        kind=verdict.outcome if given else "none",
        word=WORDS[verdict.outcome] if given else "No verdict",
        candidate=model_title(model),
        sentence=verdict.reason,
        answers=shown_answers(report, model.name),
        beside=share_of_the_way(report, model.name),
    )


def doing_nothing(report: AuditReport) -> tuple[ShownVerdict, ...]:
    """Return the original's answers, where it is known: what a model scores that was not touched."""
    return tuple(
        ShownVerdict(
            kind="",
            word="",
            candidate="Doing nothing: the original",
            sentence="",
            answers=shown_answers(report, model.name),
            beside=recognised(report, model.name),
        )
        for model in report.by_role("original")
        if shown_answers(report, model.name)
    )


def shown_answers(report: AuditReport, name: str) -> tuple[ShownAnswer, ...]:
    """Return the answers to the three questions on a model; none in reports of the first version, or for few models."""
    judgement = report.judgements.get(name)
    if judgement is None:
        return ()
    return tuple(
        ShownAnswer(
            TITLES[answer.question],
            "none" if judgement.withheld else answer.outcome,
            "withheld" if judgement.withheld else answer_word(answer),
            told,
        )
        for answer, told in zip(judgement.answers, judgement.sentences, strict=True)
    )


def share_of_the_way(report: AuditReport, name: str) -> str:
    """Say how much of the original's distance from retraining is gone, and how many deleted examples are recognised."""
    judgement = report.judgements.get(name)
    told = []
    if judgement is not None and judgement.level_gone is not None:
        told.append(f"by confidence {_share(judgement.level_gone)}")
    if judgement is not None and judgement.pattern_gone is not None:
        told.append(f"by pattern {_share(judgement.pattern_gone)}")
    way = f"Of the way from the original to retraining on the forget set: {', '.join(told)}. " if told else ""
    return way + recognised(report, name)


def recognised(report: AuditReport, name: str) -> str:
    """Say which share of the deleted examples a model recognises, beside the retrained models."""
    accuracy = {model: figures.forget_accuracy for model, figures in report.aggregate.items()}
    retrained = [accuracy.get(model.name) for model in report.by_role("reference")]
    known = [share for share in retrained if share is not None]
    mine = accuracy.get(name)
    if mine is None or not known:
        return ""
    original = accuracy.get("original")
    before = "" if original is None or name == "original" else f", the original {100 * original:.0f} %"
    low, high = f"{100 * min(known):.0f}", f"{100 * max(known):.0f}"
    between = f"{low} %" if low == high else f"{low} to {high} %"
    return f"Deleted examples recognised: {100 * mine:.0f} %{before}, retrained models {between}."


def _share(share: Share) -> str:
    low, high = f"{100 * share.lower:.0f}", f"{100 * share.upper:.0f}"
    return f"{100 * share.value:.0f} % ({low} to {high})".replace("-", MINUS)


def has_verdict(report: AuditReport, candidate: str) -> bool:
    """Tell whether the audit gives a verdict on a candidate: three references at least, and controls that behave."""
    verdict = report.verdicts.get(candidate)
    return verdict is not None and not verdict.withheld and verdict.num_references >= MIN_REFERENCES


def policy_sentence(report: AuditReport) -> str:
    """State the policy under which the verdicts were given, and by which version where that is not the current one."""
    policy = report.policy
    where = f"Neighbourhoods: {report.neighbourhood.description.rstrip('.')}."
    if isinstance(policy, FirstPolicy):
        made_by = report.provenance.versions.get("unlearn-audit")
        version = f" (unlearn-audit {made_by})" if made_by else ""
        return (
            f"Judged by the first version of the verdict{version}, which does not ask the three questions: "
            f"{measure_title(report, policy.measure)} on {' and '.join(policy.populations)} examples, tolerated excess "
            f"{policy.absolute:g} or {100 * policy.relative:g} % of the noise floor, whichever is larger, "
            f"alpha {policy.alpha:g}. {where}"
        )
    unit = next(measure.unit for measure in report.measures if measure.name == policy.measure)
    return (
        f"Policy: tolerated are {100 * policy.level:g} points of mean confidence in the label, and an excess of "
        f"{policy.pattern:g} {unit} of {measure_title(report, policy.measure)}, in every group of examples; "
        f"alpha {policy.alpha:g}, corrected over all groups. {where}"
    )
