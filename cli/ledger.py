"""`unlearn-audit ledger`: request after request of one model, and how often any audit of them may be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import quiet

if TYPE_CHECKING:
    from unlearn_audit.saved.deletions import Audited, DeletionLedger


def run(
    folder: Annotated[Path, typer.Argument(help="The ledger's folder.")],
    model: Annotated[str | None, typer.Option(help="Open a new ledger for this model, in words.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Of a new ledger: probability of any wrong fail, ever. [default: 0.05]")
    ] = None,
    expected: Annotated[
        int | None, typer.Option(help="Of a new ledger: audits that are expected; more may come. [default: 10]")
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="Enter a deletion request: ids as txt, csv, json or parquet.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--audit", help="Enter the report in this folder.")] = None,
    head: Annotated[
        str | None, typer.Option(help="A head that this ledger had, as it was given away: must be among its lines.")
    ] = None,
) -> None:
    """Keep a model's deletion requests and audits.

    The ledger says which requests came when, what was audited of them with which report, how far the model has drifted
    from retraining, and whether earlier requests are still forgotten. It gives each audit its alpha, so that any wrong
    fail among all of them has at most the probability --alpha: use `audit --ledger`, or enter a report here. Entries
    are chained by hashes and checked each time. Give the head away: whoever has it finds what was edited or cut off.
    """
    limit_threads()
    quiet()
    from unlearn_audit.saved.deletions import add_request, check_private, open_ledger, read_ledger
    from unlearn_audit.saved.forgotten import Forgotten

    if model is not None:
        open_ledger(
            folder, model, alpha=0.05 if alpha is None else alpha, expected=10 if expected is None else expected
        )
    elif (alpha, expected) != (None, None):
        raise ConfigurationError(
            "Expected --alpha and --expected only with --model: they stay what a ledger began with."
        )
    read_ledger(folder, head or "")
    if request is not None:
        add_request(folder, Forgotten.read(request).ids)
    if report is not None:
        entered(folder, report)
    ledger = read_ledger(folder)
    private = check_private(ledger)
    show(ledger)
    missing = len(ledger.requests) - private
    if missing:
        typer.echo(f"The ids of {missing} requests are not here, and were not held against their commitments.")


def entered(folder: Path, report: Path) -> None:
    """Compute every figure of a report again, and enter it."""
    from unlearn_audit.experiment.weights import with_weights
    from unlearn_audit.publishing.checking import verify_published
    from unlearn_audit.saved.entering import enter

    from .progress import TaskProgress

    with TaskProgress() as progress:
        found = with_weights(verify_published(report, progress=progress), report, progress)
    found.raise_if_different()
    enter(folder, report)


def show(ledger: DeletionLedger) -> None:
    """Print a ledger, and tell it to programs."""
    requests = {entry.what.request: entry.time for entry in ledger.entries if entry.what.kind == "requested"}
    upcoming = {"alpha": ledger.next_alpha, "forget": ledger.so_far()} if ledger.requests else None
    tell(
        model=ledger.opened.model,
        alpha=ledger.opened.alpha,
        spent=sum(audit.level for audit in ledger.audits),
        requests=ledger.requests,
        audits=ledger.audits,
        unaudited=ledger.unaudited,
        next=upcoming,
        head=ledger.head,
    )
    typer.echo(_opening(ledger))
    for number, time in requests.items():
        what = ledger.requests[number - 1]
        typer.echo(f"Request {number}, {time[:10]}: {what.size} examples, {what.size_so_far} so far.")
    before: Audited | None = None
    for audit in ledger.audits:
        typer.echo(_audit(audit, before))
        before = audit
    if ledger.unaudited:
        typer.echo(f"Not audited: the latest {ledger.unaudited} of {len(ledger.requests)} requests.")
    if upcoming:
        typer.echo(f"Next audit: policy.alpha {ledger.next_alpha:.3g}, forget set {upcoming['forget']}")
    typer.echo(f"Head: {ledger.head}")


def _opening(ledger: DeletionLedger) -> str:
    from unlearn_audit.names import shown

    spent = sum(audit.level for audit in ledger.audits) / ledger.opened.alpha
    return (
        f"{shown(ledger.opened.model)}: {len(ledger.requests)} requests, {len(ledger.audits)} audits; "
        f"{100 * spent:.0f} % of alpha {ledger.opened.alpha:g} is spent."
    )


def _audit(audit: Audited, before: Audited | None) -> str:
    """Say what an audit found, how far the model drifted, by how much since the one before, and each request again."""
    from unlearn_audit.auditing.briefly import WORDS

    answers = ", ".join(f"{question} {WORDS[outcome]}" for question, outcome in audit.answers.items()) or "no verdict"
    drift = "; ".join(
        f"{question} {100 * found.level:+.1f} points and {found.pattern:+.3f}"
        + (f" ({found.pattern - before.drift[question].pattern:+.3f})" if before and question in before.drift else "")
        for question, found in audit.drift.items()
    )
    again = ", ".join(f"{found.request} {WORDS[found.outcome]}" for found in audit.again)
    return (
        f"Audit {audit.audit} of requests 1 to {audit.requests}, K = {audit.references}, level {audit.level:.3g}: "
        f"{'no verdict' if audit.withheld else audit.outcome}; {answers}\n"
        f"  drift from retraining, in confidence and {audit.policy.measure} (since the audit before): {drift}\n"
        f"  forgotten by request: {again}\n"
        f"  report {audit.manifest[:16]}, weights {audit.weights[:16] or 'not known'}"
    )
