"""Check what was published: the audit, the model beside it, and who claims to have been forgotten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.publishing.answers import ANSWERS, PublishedAnswers
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import PublishedModel, read_manifest
from unlearn_audit.saved.verify import Verification, verify

NO_WEIGHTS_HASH = "The audit does not say which weights it saw, so it was not checked that they are these."


def verify_published(folder: str | Path, *, progress: Callable[[str, int, int], None] | None = None) -> Verification:
    """Check an audit's folder as `verify` does and, where it lies beside a published model, the model's weights too.

    Args:
        folder: of the audit: `audit`, in what `pull` returns. A folder that was not published is checked as it is.
        progress: called with what is done, how many examples are, and how many there are.

    Raises:
        AuditError: where there is no manifest, or it cannot be read.
    """
    folder = Path(folder)
    found, manifest = verify(folder, progress=progress), read_manifest(folder)
    model, request = manifest.model, manifest.request
    if model is None:
        return found
    try:
        record = _recorded_weights(folder, model)
        differences = tuple(_weights_differences(folder / model.top, record)) if record else ()
    except UnlearnAuditError as error:
        return dataclasses.replace(found, differences=(*found.differences, f"The weights cannot be checked: {error}"))
    untold = () if record else (NO_WEIGHTS_HASH,)
    return dataclasses.replace(
        found,
        differences=(*found.differences, *differences),
        not_checked=(*found.not_checked, *untold),
        weights=(model.candidate,) if record else (),
        absent=tuple(name for name, _, _ in request.items() if name != model.candidate or not record),
    )


def check_claim(folder: str | Path, forget: str | Path, salt: str) -> str | None:
    """Tell whether a published audit was of the forget set in a file, as its publisher proves by the salt.

    Args:
        folder: of the audit.
        forget: a file of ids, or a saved forget set.
        salt: from the manifest of the report that was published.

    Returns:
        None if it was, otherwise what does not agree, in a sentence.

    Raises:
        AuditError: for a report, and ForgetSetError for ids, that cannot be read.
    """
    published = _commitment(Path(folder))
    found = commitment(Forgotten.read(Path(forget)).ids, salt)
    if found == published:
        return None
    return (
        f"The ids in {Path(forget).name} and this salt give the hash {found[:12]}…, but the audit was published with "
        f"{published[:12]}…: it was of another forget set, or the salt is another one's."
    )


def auditor_of(folder: str | Path) -> str:
    """Say who published an audit: the name by which the Hub knew them, or the owner of the repository."""
    model = read_manifest(folder).model
    return model.auditor if model is not None and model.auditor else "its owner"


def _commitment(folder: Path) -> str:
    """Return the published hash of the forget set."""
    if (folder / ANSWERS).is_file():
        return PublishedAnswers.load(folder).commitment
    return AuditReport.load(folder).forget_set.hash


def _recorded_weights(folder: Path, model: PublishedModel) -> str:
    """Return the hash of the candidate's weights that the audit states, empty where it states none."""
    if (folder / ANSWERS).is_file():
        return PublishedAnswers.load(folder).weights_hash
    records = {record.name: record for record in AuditReport.load(folder).models}
    return records[model.candidate].weights_hash if model.candidate in records else ""


def _weights_differences(root: Path, recorded: str) -> Iterator[str]:
    from unlearn_audit.models.loading import load_model, weights_hash

    found = weights_hash(load_model(root))
    if found != recorded:
        yield f"the weights have the hash {found[:12]}…, the report says {recorded[:12]}…: another model was audited"
