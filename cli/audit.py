"""`unlearn-audit audit`: an audit from files of predictions alone."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import limit_threads

from .options import AuditSettings, DataSettings, MaybeData, model_files

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.saved.request import AuditRequest


class FailOn(StrEnum):
    """Which verdicts make the exit code 3."""

    fail = "fail"
    inconclusive = "inconclusive"


Files = list[str]


def run(
    candidate: Annotated[
        Files,
        typer.Option(
            metavar="[NAME=]FILE",
            help="An unlearned model's file, here, hf://… or s3://…, or hub:USER/NAME[@REVISION], a model to "
            "predict --data with. Repeat a NAME for its seeds.",
        ),
    ],
    reference: Annotated[
        Files, typer.Option(metavar="[NAME=]FILE", help="A retrained model, named as candidates are; give at least 3.")
    ],
    forget: Annotated[
        str,
        typer.Option(
            help="Ids of the forget set, or with --data file names: txt, csv, json or parquet, here or hf://…."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path("report"),
    original: Annotated[
        Files | None,
        typer.Option(metavar="FILE", help="The original model; its embeddings are the space. Repeat for several."),
    ] = None,
    untrained: Annotated[str | None, typer.Option(help="An untrained model.")] = None,
    embeddings: Annotated[str | None, typer.Option(help="File with example_id and embedding instead.")] = None,
    proximities: Annotated[str | None, typer.Option(help="File with example_id and proximity instead.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="File with example_id and neighbourhood.column, for strata made of it.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with title, policy, neighbourhood and measures, as in a study's.")
    ] = None,
    data: MaybeData = None,
    data_settings: DataSettings = None,
    settings: AuditSettings = None,
    seal: Annotated[Path | None, typer.Option(help="From `unlearn-audit seal`: the audit must be as it says.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Of deletion requests: takes policy.alpha from it, and enters the report.")
    ] = None,
    with_inputs: Annotated[
        bool,
        typer.Option("--bundle", help="Copy all that the audit is made from into the report's folder, to move it."),
    ] = False,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 3 on this verdict or a worse one.")] = None,
) -> None:
    """Audit from files of predictions alone.

    Files hold example_id, label, and logits or probabilities, as Parquet, .npz or .csv, from any framework. --set takes
    policy.KEY, neighbourhood.KEY, measures and title, for example --set policy.alpha=0.01. The report's folder is new,
    empty, or holds an earlier report, which is replaced.
    """
    limit_threads()
    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.folders import claim_folder
    from unlearn_audit.names import checked_name
    from unlearn_audit.reporting.folder import render_folder
    from unlearn_audit.saved.bundle import bundle
    from unlearn_audit.saved.entering import enter
    from unlearn_audit.saved.request import AuditRequest
    from unlearn_audit.saved.running import REPORT, run_audit, save_audit

    from .progress import TaskProgress
    from .sources import Source
    from .tables import show_report

    chosen = read_audit(config, settings=settings or ())
    for name in (*model_files(candidate), *model_files(reference)):
        checked_name(name, "a model")
    claim_folder(output, REPORT)
    source = Source(output, data, data_settings)
    request = AuditRequest(
        candidates=model_files(source.named(candidate)),
        class_names=chosen.names.classes,
        title=chosen.title,
        **source.inputs(
            chosen,
            reference=reference,
            forget=forget,
            original=original,
            untrained=untrained,
            embeddings=embeddings,
            proximities=proximities,
            columns=columns,
        ),
    )
    if ledger is not None:
        request = at_level(ledger, request)
    if seal is not None:
        check_seal(seal, request)
    with TaskProgress() as progress:
        found = run_audit(request, progress=progress)
    request, base = (bundle(request, output), output) if with_inputs else (request, Path())
    save_audit(found, request, output, base=base, sealed=seal)
    render_folder(output)
    show_report(found.report, output)
    if ledger is not None:
        enter(ledger, output)
    if fail_on and failed(found.report, fail_on):
        raise typer.Exit(3)


def check_seal(seal: Path, request: AuditRequest) -> None:
    """Raise `AuditError` where the audit is not as it was sealed."""
    from unlearn_audit.errors import AuditError
    from unlearn_audit.saved.sealing import broken, read_seal

    found = list(broken(read_seal(seal), request, Path()))
    if found:
        raise AuditError("This is not the audit that was sealed:\n- " + "\n- ".join(found))


def at_level(ledger: Path, request: AuditRequest) -> AuditRequest:
    """Return the request at the level that a ledger gives the next audit, which is of all its deletion requests."""
    from unlearn_audit.saved.deletions import read_ledger
    from unlearn_audit.saved.forgotten import Forgotten

    if len(request.candidates) != 1:
        raise ConfigurationError(f"Expected one --candidate with --ledger, got {len(request.candidates)}.")
    found = read_ledger(ledger)
    found.check_so_far(Forgotten.read(Path(request.forget)).ids)
    return dataclasses.replace(request, policy=dataclasses.replace(request.policy, alpha=found.next_alpha))


def failed(report: AuditReport, fail_on: FailOn) -> bool:
    """Whether some candidate's verdict is `fail_on` or worse."""
    bad = {"fail"} if fail_on is FailOn.fail else {"fail", "inconclusive"}
    return any(verdict.outcome in bad for verdict in report.verdicts.values())
