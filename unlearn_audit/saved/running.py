"""An audit from files: reads what a request names, audits, and writes a report's folder."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.audit import Findings, audit_subject
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.neighbours import NeighbourSource, neighbourhood_of
from unlearn_audit.auditing.report import Provenance
from unlearn_audit.files import replacing, sha256, versions
from unlearn_audit.folders import claim_folder
from unlearn_audit.neighbourhood import Neighbourhood
from unlearn_audit.predictions import open_predictions
from unlearn_audit.remote.sources import placed
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.manifest import MANIFEST, former_manifest, seal
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.sealing import SEAL
from unlearn_audit.saved.stamping import STAMP

REPORT = "report"  # the kind of folder that an audit is saved in


def run_audit(
    request: AuditRequest,
    *,
    base: str | Path = ".",
    command: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> Findings:
    """Read the files of `request`, whose relative paths are from `base`, and audit.

    Args:
        request: what to audit, and how.
        base: of relative paths.
        command: that is recorded in the report.
        progress: called with what is done, how many examples are, and how many there are.

    Raises:
        PredictionsError: for files that cannot be read or do not fit together.
        AuditError: for inputs that do not allow an audit.
    """
    start, base = time.perf_counter(), Path(base)
    subject = read_subject(request, base)
    neighbourhood = read_neighbourhood(request, subject, base)
    found = audit_subject(
        subject,
        neighbourhood,
        request.policy,
        measures=request.measures or None,
        title=request.title,
        progress=progress,
    )
    return with_provenance(found, request.configuration, start=start, command=command)


def with_provenance(found: Findings, configuration: Mapping[str, Any], *, start: float, command: str = "") -> Findings:
    """Return the findings with a report that says when, by what and how they were made; `start` by `perf_counter`."""
    provenance = Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        command=command,
        configuration=dict(configuration),
        seconds=round(time.perf_counter() - start, 3),
    )
    return dataclasses.replace(found, report=dataclasses.replace(found.report, provenance=provenance))


def read_subject(request: AuditRequest, base: Path) -> AuditSubject:
    """Open the files of a request's models, whose relative paths are from `base`; logits are read when they are used.

    Raises:
        PredictionsError: for files that are no predictions.
        AuditError: for a forget set that cannot be read.
    """

    def opened(_: str, files: ModelFiles) -> AuditedModel:
        sources = tuple(open_predictions(placed(base, path), request.names) for path in files.predictions)
        return AuditedModel(sources, files.method, files.seed, files.seconds, files.examples)

    models, forget = request.map(opened), Forgotten.read(base / request.forget)
    return AuditSubject(
        models.candidates,
        models.references,
        models.original,
        models.untrained,
        forget_ids=forget.ids,
        forget_description=forget.description,
        forget_hash=forget.hash,
        class_names=request.class_names,
    )


def read_neighbourhood(request: AuditRequest, subject: AuditSubject, base: Path) -> Neighbourhood:
    """Make the neighbourhood of a request's examples.

    Raises:
        AuditError: where there is nothing to take proximities from.
    """
    file, holds = request.proximities or request.embeddings, "proximity" if request.proximities else "embedding"
    source = None if file is None else NeighbourSource(base / file, holds, request.names)
    columns = None if request.columns is None else NeighbourSource(base / request.columns, names=request.names)
    return neighbourhood_of(request.neighbourhood, subject, source, columns)


def _keep(path: Path, source: str | Path | None) -> None:
    """Let a report's folder hold a copy of a file, or none where there is no such file."""
    if source is None or not Path(source).is_file():
        path.unlink(missing_ok=True)
        return
    with replacing(path) as draft:
        shutil.copyfile(source, draft)


def save_audit(
    found: Findings,
    request: AuditRequest,
    folder: str | Path,
    *,
    base: str | Path = ".",
    sealed: str | Path | None = None,
) -> None:
    """Write `report.json` and `examples.parquet` to `folder`, then the manifest; `seal` adds what comes later.

    Args:
        found: by the audit.
        request: that it was made from.
        folder: to write to.
        base: of the request's relative paths.
        sealed: the file of the seal that the audit was made under; the report carries it, and the time stamp that
            lies beside it under the same name with the ending .tsr.

    Raises:
        ConfigurationError: where the folder holds anything but an earlier report.
    """
    import pyarrow.parquet as pq

    folder = claim_folder(folder, REPORT)
    former, report = former_manifest(folder), found.report
    if sealed is not None:
        provenance = dataclasses.replace(report.provenance, seal=sha256(sealed))
        report = dataclasses.replace(report, provenance=provenance)
    with replacing(folder / "report.json") as figures, replacing(folder / "examples.parquet") as ledger:
        figures.write_text(report.to_json(), encoding="utf-8")
        pq.write_table(found.ledger, ledger, compression="zstd")
        (folder / MANIFEST).unlink(missing_ok=True)  # both are written: from here on the former report goes
    _keep(folder / SEAL, sealed)
    _keep(folder / STAMP, None if sealed is None else Path(sealed).with_suffix(Path(STAMP).suffix))
    seal(folder, request.seen_from(folder, Path(base)), former)
