"""A report in a few sentences, as a small piece of HTML, and as rows of a table."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import Any

from unlearn_audit.auditing.briefly import answer_word
from unlearn_audit.auditing.groups import QUESTIONS
from unlearn_audit.auditing.questions import Answer
from unlearn_audit.auditing.report import AuditReport, Result
from unlearn_audit.auditing.sentences import TITLES
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


def worst_first(report: AuditReport) -> list[str]:
    """Return the candidates' names: by verdict, then by how many of its answers fail, then in the report's order."""

    def badness(name: str) -> tuple[int, int]:
        judgement = report.judgements.get(name)
        failing = [] if judgement is None else [a for a in judgement.answers if a.outcome == "fail"]
        return _WORST_FIRST.index(report.verdicts[name].outcome), -len(failing)

    return sorted(report.verdicts, key=badness)


def _outcome(report: AuditReport) -> str:
    return " ".join(f"{name}: {_judged(report, name)}" for name in worst_first(report))


def _judged(report: AuditReport, name: str) -> str:
    """Say a candidate's verdict and its answers; without answers, the verdict's sentence."""
    verdict, answers = report.verdicts[name], _answers(report, name)
    if not answers:
        return f"{verdict.outcome}. {verdict.reason}"
    questions = zip(("forgotten", "neighbours unharmed", "everything else unharmed"), answers, strict=True)
    return f"{verdict.outcome}. {'; '.join(f'{asked} {word}' for asked, word in questions).capitalize()}."


def _answers(report: AuditReport, name: str) -> list[str]:
    """Return the answers in words, one a question; none where they are withheld, or cannot be given."""
    judgement = report.judgements.get(name)
    if judgement is None or judgement.withheld:
        return []
    found: dict[str, Answer] = {answer.question: answer for answer in judgement.answers}
    if not found:
        return []
    return [answer_word(found[question]) if question in found else "not asked" for question in QUESTIONS]


def _controls(report: AuditReport) -> str:
    if report.controls is None:
        return ""
    told = report.controls.alarms or report.controls.notes
    return told[0] if told else "All controls behave as they should."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def html_summary(report: AuditReport) -> str:
    """Return HTML without scripts, everything escaped: a row a candidate, worst first, then the original; the controls.

    A row has the verdict and the three answers, or the verdict's sentence where there are none.
    """
    anchors = [model.name for model in report.by_role("original") if model.name in report.judgements]
    rows = "".join(_html_row(report, name) for name in [*worst_first(report), *anchors])
    titles = "".join(f"<th>{escape(title)}</th>" for title in TITLES.values())
    return (
        f"<div><p>{escape(_what(report))}</p><table><thead><tr><th>model</th><th>verdict</th>{titles}</tr></thead>"
        f"<tbody>{rows}</tbody></table><p>{escape(_controls(report))}</p></div>"
    )


def _html_row(report: AuditReport, name: str) -> str:
    verdict, answers = report.verdicts.get(name), _answers(report, name)
    outcome = "" if verdict is None else "no verdict" if verdict.withheld else verdict.outcome
    told = "".join(f"<td>{escape(word)}</td>" for word in answers)
    if not answers and verdict is not None:
        told = f'<td colspan="{len(TITLES)}">{escape(verdict.reason)}</td>'
    return f"<tr><td>{escape(name)}</td><td><b>{escape(outcome)}</b></td>{told}</tr>"


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
