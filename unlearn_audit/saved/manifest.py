"""The manifest of a report's folder: what went in, what came out, and all settings.

It is written last, so that its existence means that the folder is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_audit.errors import AuditError
from unlearn_audit.files import sha256, write_text
from unlearn_audit.folders import MARK
from unlearn_audit.saved.request import AuditRequest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What went into a report folder and what came out: SHA-256 of each input and output, and the request."""

    request: AuditRequest
    inputs: dict[str, str]
    outputs: dict[str, str]
    withheld: tuple[str, ...] = ()  # populations left out of a published folder
    schema_version: int = 1

    def to_json(self) -> str:
        """Return it as JSON text."""
        return str(_adapter().dump_json(self, indent=1), "utf-8")


def read_manifest(folder: str | Path) -> Manifest:
    """Read a report folder's manifest; none, or an altered one, raises `AuditError`."""
    from pydantic import ValidationError

    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise AuditError(
            f"Expected a whole report folder, found no {MANIFEST} in {str(folder)!r}: run the audit again."
        )
    try:
        manifest: Manifest = _adapter().validate_json(path.read_bytes())
    except ValidationError as error:
        raise AuditError(f"{path}: this is no manifest of a report: {error.errors()[0]['msg']}.") from error
    return manifest


def seal(folder: str | Path, request: AuditRequest | None = None) -> None:
    """Write the manifest over all files in `folder`: after a report is rendered again, with the `request` that stands.

    Args:
        folder: of the report.
        request: with paths relative to `folder`; None keeps that of the manifest there.

    Raises:
        AuditError: where an input is missing.
    """
    folder = Path(folder)
    request = request or read_manifest(folder).request
    inputs = {what: folder / path for what, path in request.files().items()}
    kept_here = {path.resolve() for path in (*inputs.values(), folder / MANIFEST, folder / MARK)}
    outputs = sorted(p for p in folder.rglob("*") if p.is_file() and p.resolve() not in kept_here)
    manifest = Manifest(
        request=request,
        inputs={what: file_hash(path) for what, path in inputs.items()},
        outputs={p.relative_to(folder).as_posix(): file_hash(p) for p in outputs},
    )
    write_text(folder / MANIFEST, manifest.to_json())


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hex; a missing file raises `AuditError`."""
    try:
        return sha256(path)
    except FileNotFoundError as error:
        raise AuditError(f"Expected the file {str(path)!r}, found none.") from error


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)
