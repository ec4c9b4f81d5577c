"""An audit's answers as numbers for the trackers that a training is logged to: trackio, TensorBoard, W&B and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unlearn_audit.auditing.judgement import Judgement
from unlearn_audit.auditing.questions import Outcome
from unlearn_audit.auditing.report import AuditReport

NUMBERS: dict[Outcome, float] = {"fail": 0.0, "inconclusive": 0.5, "pass": 1.0}  # trackers draw numbers only


def audit_metrics(report: AuditReport, candidate: str) -> dict[str, float]:
    """Return what an audit found of a candidate by name, as `Trainer.log` takes it.

    `audit/forgotten`, `audit/neighbours` and `audit/rest` are 1 for yes, 0 for no and 0.5 where it is not settled; what
    each answer rests on is `…_difference`, in confidence or in the unit of the measure. Without a judgement there is
    only `audit/references`, K.
    """
    found = {"audit/references": float(report.num_references)}
    judgement = report.judgements.get(candidate)
    if judgement is not None and not judgement.withheld:
        found |= _answers(judgement)
    figures = report.aggregate.get(candidate)
    for name in ("forget_accuracy", "retain_accuracy", "test_accuracy"):
        value = getattr(figures, name, None)
        found |= {} if value is None else {f"audit/{name}": value}
    return found


def _answers(judgement: Judgement) -> dict[str, float]:
    found = {}
    for answer in judgement.answers:
        found[f"audit/{answer.question}"] = NUMBERS[answer.outcome]
        found[f"audit/{answer.question}_difference"] = answer.finding.difference
    return found


def alert_on_failure(report: AuditReport, trackers: Sequence[str], *, only: str | None = None) -> tuple[str, ...]:
    """Send the trackers that have alerts one for each candidate that fails, or for `only` one; return their names.

    Trackio and W&B have alerts; each sends them in the run that is open.
    """
    failing = (name for name, verdict in report.verdicts.items() if verdict.outcome == "fail")
    failed = tuple(name for name in failing if only in (None, name))
    for name in failed:
        _alert(f"{name} fails its audit", report.verdicts[name].reason, trackers)
    return failed


def _alert(title: str, text: str, trackers: Sequence[str]) -> None:
    if "trackio" in trackers:
        import trackio

        trackio.alert(title, text, level=trackio.AlertLevel.ERROR)
    if "wandb" in trackers:
        import wandb

        run: Any = wandb.run
        run.alert(title=title, text=text, level="ERROR")
