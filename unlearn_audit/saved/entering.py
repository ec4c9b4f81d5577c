"""An audit's report entered in the ledger of deletion requests: its verdict, its drift, and every request again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from unlearn_audit.auditing.again import asked_again
from unlearn_audit.auditing.judgement import Judgement
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Finding, Outcome
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError
from unlearn_audit.saved.deletions import Again, Audited, DeletionLedger, Drift, locked, read_ledger
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.manifest import MANIFEST, file_hash, read_manifest
from unlearn_audit.saved.running import read_subject


def enter(folder: str | Path, report: str | Path) -> DeletionLedger:
    """Enter a report, which was verified, and return the ledger.

    Args:
        folder: of the ledger.
        report: folder of the report on one candidate, at the level of the ledger, whose forget set is all requests.

    Raises:
        AuditError: for a report that is not this.
    """
    with locked(folder):
        ledger = read_ledger(folder)
        return ledger.add(_audited(ledger, Path(report)))


def _audited(ledger: DeletionLedger, folder: Path) -> Audited:
    report, request, digest = AuditReport.load(folder), read_manifest(folder).request, file_hash(folder / MANIFEST)
    known = next((audit.audit for audit in ledger.audits if audit.manifest == digest), None)
    if known is not None:
        raise AuditError(f"Expected a report that the ledger does not have, got that of audit {known}.")
    policy, names = report.policy, list(report.verdicts)
    if not isinstance(policy, Policy) or len(names) != 1:
        raise AuditError(f"Expected a report on one candidate, since a ledger follows one model, got {len(names)}.")
    if policy.alpha > ledger.next_alpha * (1 + 1e-9):
        raise AuditError(
            f"Expected an audit at the level of the ledger, policy.alpha of at most {ledger.next_alpha:.6g}, got "
            f"{policy.alpha:g}: audit again with --ledger."
        )
    ledger.check_so_far(Forgotten.read(folder / request.forget).ids)
    name = names[0]
    verdict, judgement = report.verdicts[name], report.judgements[name]
    requests = {f"request {n}": ledger.ids_of(n) for n in range(1, len(ledger.requests) + 1)}
    strict = dataclasses.replace(policy, alpha=ledger.next_alpha)
    again = asked_again(read_subject(request, folder), name, requests, strict)
    return Audited(
        audit=len(ledger.audits) + 1,
        requests=len(ledger.requests),
        manifest=digest,
        candidate=name,
        weights=report.model(name).weights_hash,
        references=report.num_references,
        level=ledger.next_level,
        policy=policy,
        outcome=verdict.outcome,
        withheld=verdict.withheld,
        answers={} if judgement.withheld else {answer.question: answer.outcome for answer in judgement.answers},
        drift={answer.question: drift_of(answer.findings) for answer in judgement.answers},
        again=tuple(
            Again(n, _outcome(found, judgement, strict.alpha), drift_of(found))
            for n, found in enumerate(again.values(), start=1)
        ),
    )


def drift_of(findings: Sequence[Finding]) -> Drift:
    """Return the farthest differences among findings, by level and by pattern."""
    levels = [finding.difference for finding in findings if finding.kind == "level"]
    patterns = [finding.difference for finding in findings if finding.kind == "pattern"]
    return Drift(max(levels, key=abs), max(patterns))


def _outcome(findings: Sequence[Finding], judgement: Judgement, alpha: float) -> Outcome:
    """Return the outcome on one request; no references, no outcome."""
    if judgement.withheld or any(finding.inside is None for finding in findings):
        return "inconclusive"
    if any(finding.fails(alpha) for finding in findings):
        return "fail"
    return "pass" if all(finding.inside for finding in findings) else "inconclusive"
