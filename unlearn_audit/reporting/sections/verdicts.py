"""What was audited, and the verdict on each candidate: the top of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.statistics import MIN_REFERENCES
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.reporting.charting import measure_title, model_title
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport, ModelRecord
    from unlearn_audit.auditing.verdict import Policy

__all__ = ["verdicts"]

TEMPLATE = """
<p class="lead">{{ subject }}</p>
{% if alarms %}
<div class="alarm" role="alert">
  {% for alarm in alarms %}
  <p>{{ alarm }}</p>
  {% endfor %}
</div>
{% endif %}
<ul class="verdict-list">
  {% for verdict in verdicts %}
  <li>
    <span class="badge {{ verdict.kind }}">{{ verdict.word }}</span>
    <p><strong>{{ verdict.candidate }}</strong>: {{ verdict.sentence }}</p>
  </li>
  {% endfor %}
</ul>
{% for note in notes %}
<p class="note-line">{{ note }}</p>
{% endfor %}
<p class="policy">{{ policy }}</p>
"""
WORDS = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}


@dataclass(frozen=True)
class ShownVerdict:
    """A verdict as a person reads it; `kind` is "pass", "fail", "inconclusive" or "none"."""

    kind: str
    word: str
    candidate: str
    sentence: str


def _values(shown: ShownAudit) -> dict[str, Any]:
    report = shown.report
    return {
        "subject": subject(report),
        "alarms": alarms(report),
        "verdicts": shown_verdicts(report),
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
    """Return each candidate's verdict with its K; one that was withheld, or that K forbids, is no verdict."""
    return tuple(shown_verdict(report, model) for model in report.by_role("candidate"))


def shown_verdict(report: AuditReport, model: ModelRecord) -> ShownVerdict:
    """Return the verdict on one candidate."""
    verdict = report.verdicts[model.name]
    given = has_verdict(report, model.name)
    return ShownVerdict(
        kind=verdict.outcome if given else "none",
        word=WORDS[verdict.outcome] if given else "No verdict",
        candidate=model_title(model),
        sentence=verdict.reason,
    )


def has_verdict(report: AuditReport, candidate: str) -> bool:
    """Tell whether the audit gives a verdict on a candidate: three references at least, and controls that behave."""
    verdict = report.verdicts.get(candidate)
    return verdict is not None and not verdict.withheld and verdict.num_references >= MIN_REFERENCES


def policy_sentence(report: AuditReport) -> str:
    """State the policy under which the verdicts were given."""
    policy = report.policy
    near = "every stratum" if policy.strata == "all" else f"the {_nearest(policy.strata)} taken together"
    return (
        f"Policy: {measure_title(report, policy.measure)} on {_listed(policy.populations)} examples, {near}, and each "
        f"whole population; {_tolerance(policy)}; one-sided tests, corrected for their number. "
        f"Neighbourhoods: {report.neighbourhood.description.rstrip('.')}."
    )


def _tolerance(policy: Policy) -> str:
    return (
        f"tolerated excess {policy.absolute:g} or {100 * policy.relative:g} % of the noise floor, whichever is larger, "
        f"alpha {policy.alpha:g}"
    )


def _nearest(count: int) -> str:
    return "nearest stratum" if count == 1 else f"{count} nearest strata"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
