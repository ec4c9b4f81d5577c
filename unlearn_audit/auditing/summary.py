"""A report in a few sentences, as a small piece of HTML, and as rows of a table."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import Any

from unlearn_audit.auditing.report import AuditReport, Result
from unlearn_audit.auditing.statistics import StratumStatistics
from unlearn_audit.populations import POPULATIONS

_WORST_FIRST = ("fail", "inconclusive", "pass")
_FIGURES = [field.name for field in dataclasses.fields(StratumStatistics) if field.name != "null"]


def sentences(report: AuditReport) -> str:
    """Say in about three sentences what was compared, what came out, and whether the controls behave."""
    return " ".join([_what(report), _outcome(report), _controls(report)]).strip()


def _what(report: AuditReport) -> str:
    count, k = len(report.by_role("candidate")), report.num_references
    sizes = [f"{sum(stratum.counts[name] for stratum in report.strata)} {name}" for name in POPULATIONS]
    return (
        f"{report.title}: {_counted(count, 'candidate')} against {_counted(k, 'retrained model')}, on "
        f"{sizes[0]}, {sizes[1]} and {sizes[2]} examples."
    )


def _outcome(report: AuditReport) -> str:
    by_outcome = sorted(report.verdicts, key=lambda name: _WORST_FIRST.index(report.verdicts[name].outcome))
    worst = by_outcome[0]
    if len(by_outcome) == 1:
        return f"{worst}: {report.verdicts[worst].outcome}. {report.verdicts[worst].reason}"
    told = ", ".join(f"{name}: {report.verdicts[name].outcome}" for name in by_outcome)
    return f"{told}. On {worst}: {report.verdicts[worst].reason}"


def _controls(report: AuditReport) -> str:
    if report.controls is None:
        return ""
    told = report.controls.alarms or report.controls.notes
    return told[0] if told else "All controls behave as they should."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def html_summary(report: AuditReport) -> str:
    """Return HTML without scripts, everything escaped: the title, a verdict a row, and what the controls say."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td><b>{escape(verdict.outcome)}</b></td><td>{escape(verdict.reason)}</td></tr>"
        for name, verdict in report.verdicts.items()
    )
    head = "<tr><th>candidate</th><th>verdict</th><th>reason</th></tr>"
    return (
        f"<div><p>{escape(_what(report))}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table>"
        f"<p>{escape(_controls(report))}</p></div>"
    )


def stratum_rows(report: AuditReport) -> list[dict[str, Any]]:
    """Return a row for each model, population and stratum, by the policy's measure.

    A row has `model`, `role`, `population`, `stratum` (0 is the nearest), `label` (the stratum's, in words), and all
    figures of `StratumStatistics` but the null distribution, by their names there.
    """
    roles = {model.name: model.role for model in report.models}
    used = [result for result in report.results if result.measure == report.policy.measure]
    return [row for result in used for row in _rows(report, result, roles[result.model])]


def _rows(report: AuditReport, result: Result, role: str) -> list[dict[str, Any]]:
    return [
        {
            "model": result.model,
            "role": role,
            "population": result.population,
            "stratum": record.index,
            "label": record.label,
            **{name: getattr(statistics, name) for name in _FIGURES},
        }
        for record, statistics in zip(report.strata, result.comparison.strata, strict=True)
    ]
