"""What the three answers rest on: each group of examples, by level and by pattern."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.briefly import PLACES
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.reporting.charting import measure_title, model_title
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import MINUS, NOTHING, Cell, Group, Table, as_rows, probability, whole

if TYPE_CHECKING:
    from unlearn_audit.auditing.judgement import Judgement
    from unlearn_audit.auditing.questions import Finding, Kind
    from unlearn_audit.auditing.report import AuditReport

__all__ = ["questions"]

TEMPLATE = """
<p class="lead">Each question is asked of groups of examples: the deleted ones; their neighbours, which are the
nearest, and those of the same classes; and all others. By level: does the model know their labels as well as retrained
models do? By pattern: does it predict as they do? Coloured differences fail, or lie within the tolerance with their
bounds.</p>
{% for model in models %}
<details{% if model.open or not interactive %} open{% endif %}>
  <summary>{{ model.title }}</summary>
  <div class="scroll">{{ cells(model.table) }}</div>
</details>
{% endfor %}
<p class="policy">{{ legend }}</p>
"""
LEGEND = (
    "The bounds are one-sided, and p is corrected over all rows of a model (Holm). Detectable is the least difference "
    "that would fail in 80 % of audits like this one. K settles: about how many retrained models settle a row that "
    "neither fails nor lies within, if the model stays as it is. Other class: how often its top class is another than "
    "a retrained model's, and in brackets how often two of theirs differ."
)


@dataclass(frozen=True)
class ShownModel:
    """One model's findings, open on the page or folded away."""

    title: str
    table: Table
    open: bool


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    report = shown.report
    originals = [model.name for model in report.by_role("original")]
    names = [name for name in (*worst_first(report), *originals) if _judged(report, name)]
    if not names:
        return None
    models = [
        ShownModel(model_title(report.model(name)), findings_table(report, name), place == 0)
        for place, name in enumerate(names)
    ]
    return {"models": models, "legend": LEGEND}


questions = Section(
    "questions",
    "What the answers rest on",
    order=15,
    template=TEMPLATE,
    values=_values,
    entry="Answers",
    may_break=True,
)


def _judged(report: AuditReport, name: str) -> bool:
    judgement = report.judgements.get(name)
    return judgement is not None and bool(judgement.answers)


def findings_table(report: AuditReport, name: str) -> Table:
    """Return a row for each group of examples, by level and then by pattern, of a model that was judged."""
    judgement, policy = report.judgements[name], report.policy
    unit = next(measure.unit for measure in report.measures if measure.name == policy.measure)
    columns = (
        "group",
        "examples",
        "model",
        "retrained",
        "difference",
        f"{100 * (1 - policy.alpha):g} % bounds",
        "p (Holm)",
        "detectable",
        "K settles",
        "other class",
    )
    pattern = f"By pattern: {measure_title(report, policy.measure)} to the retrained models, {unit}".rstrip(", ")
    level = "By level: mean confidence in the label, %; differences in points"
    groups = (
        Group(level, as_rows(_rows(judgement, "level", policy.alpha))),
        Group(pattern, as_rows(_rows(judgement, "pattern", policy.alpha))),
    )
    return Table(f"Compared with K = {judgement.num_references} retrained models", columns, groups)


def _rows(judgement: Judgement, kind: Kind, alpha: float) -> Iterable[list[Cell | str]]:
    return (_row(finding, alpha) for answer in judgement.answers for finding in answer.findings if finding.kind == kind)


def _row(finding: Finding, alpha: float) -> list[Cell | str]:
    fails = finding.fails(alpha)
    colour = "over" if fails else "within" if finding.inside else ""
    return [
        PLACES[finding.group],
        whole(finding.count),
        _figure(finding, finding.value),
        _figure(finding, finding.expected),
        Cell(_signed(finding, finding.difference), colour),
        f"{_signed(finding, finding.lower)} to {_signed(finding, finding.upper)}",
        probability(finding.p_holm),
        _figure(finding, finding.detectable),
        NOTHING if fails or finding.inside else whole(finding.references_needed),
        _disagreement(finding),
    ]


def _figure(finding: Finding, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{100 * value:.1f}" if finding.kind == "level" else _measured(value)


def _signed(finding: Finding, value: float | None) -> str:
    if value is None:
        return NOTHING
    text = f"{100 * value:+.1f}" if finding.kind == "level" else f"{'+' if value >= 0 else ''}{_measured(value)}"
    return text.replace("-", MINUS)


def _measured(value: float) -> str:
    """Write a figure in the measure's unit; a bound that is very far away, shortly."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


def _disagreement(finding: Finding) -> str:
    if finding.disagreement is None:
        return NOTHING
    between = finding.reference_disagreement
    return f"{100 * finding.disagreement:.1f} %" + ("" if between is None else f" ({100 * between:.1f} %)")
