"""Two candidates of an audit side by side: answers, what they know of the deleted examples, damage, and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.reporting.charting import model_title, primary_population
from unlearn_audit.reporting.sections._menu import Option
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.sections.verdicts import shown_verdict
from unlearn_audit.reporting.tables import NOTHING, number, percent

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport, ModelRecord

__all__ = ["pair"]

TEMPLATE = """
{% macro unseen(model) %}{% if model.value in hidden %} hidden{% endif %}{% endmacro %}
{% if interactive %}
<div class="controls">
  {{ choose("left", "Left", models, left) }}
  {{ choose("right", "Right", models, right) }}
</div>
{% endif %}
<div class="scroll"><table data-pair>
  <caption>Each row is one figure of the two candidates, and of the retrained models where they have one.</caption>
  <thead><tr>
    <th scope="col" class="text">what</th>
    {% for model in models %}
    <th scope="col" class="text" data-column="{{ model.value }}"{{ unseen(model) }}>{{ model.title }}</th>
    {% endfor %}
    <th scope="col" class="text">retrained</th>
  </tr></thead>
  <tbody>
  {% for row in rows %}
  <tr>
    <th scope="row">{{ row.title }}</th>
    {% for model in models %}
    <td class="text" data-column="{{ model.value }}"{{ unseen(model) }}>{{ row.cells[loop.index0] }}</td>
    {% endfor %}
    <td class="text">{{ row.retrained }}</td>
  </tr>
  {% endfor %}
  </tbody>
</table></div>
"""


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    report = shown.report
    candidates = [report.model(name) for name in reversed(worst_first(report))]
    if len(candidates) < 2:
        return None
    titles = ["Verdict", *TITLES.values(), *ACCURACIES, "Ratio, nearest stratum", "Ratio, all", "Cost of a retraining"]
    columns = [_figures(report, model) for model in candidates]
    retrained = _of_retrained(report)
    return {
        "models": [Option(model.name, model_title(model)) for model in candidates],
        "left": candidates[0].name,
        "right": candidates[1].name,
        "hidden": [model.name for model in candidates[2:]] if shown.interactive else [],
        "rows": [
            {
                "title": title,
                "cells": [column.get(title, NOTHING) for column in columns],
                "retrained": retrained.get(title, ""),
            }
            for title in titles
            if any(title in column for column in columns)
        ],
    }


pair = Section(
    "pair",
    "Two candidates side by side",
    order=12,
    template=TEMPLATE,
    values=_values,
    entry="Side by side",
    printed=False,
)
ACCURACIES = {
    "Deleted examples recognised": "forget_accuracy",
    "Accuracy, retained": "retain_accuracy",
    "Accuracy, test": "test_accuracy",
}


def _figures(report: AuditReport, model: ModelRecord) -> dict[str, str]:
    """Return a candidate's figures by title."""
    verdict, accuracy = shown_verdict(report, model), report.aggregate.get(model.name)
    found = report.comparison(model.name, primary_population(report), report.policy.measure)
    return {
        "Verdict": verdict.word,
        **{answer.title: answer.word for answer in verdict.answers},
        **{title: percent(getattr(accuracy, name, None)) for title, name in ACCURACIES.items()},
        "Ratio, nearest stratum": number(None if found is None else found.strata[0].ratio),
        "Ratio, all": number(None if found is None else found.overall.ratio),
        "Cost of a retraining": percent(model.seconds_share),
    }


def _of_retrained(report: AuditReport) -> dict[str, str]:
    """Return what the retrained models score, from the least to the greatest."""
    names = [model.name for model in report.by_role("reference")]
    told = {"Ratio, nearest stratum": "1", "Ratio, all": "1", "Cost of a retraining": "100 %"}
    for title, name in ACCURACIES.items():
        values = [getattr(report.aggregate[n], name) for n in names if n in report.aggregate]
        known = sorted(value for value in values if value is not None)
        told[title] = f"{percent(known[0])} to {percent(known[-1])}" if known else NOTHING
    return told
