"""The manifest of a report's folder: what went in, what came out, and all settings.

It is written last, so that its existence means that the folder is whole.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_audit.errors import AuditError
from unlearn_audit.files import LARGEST_JSON, regular, sha256, write_text
from unlearn_audit.folders import MARK
from unlearn_audit.remote.ranges import content_of
from unlearn_audit.remote.sources import is_remote_file, placed
from unlearn_audit.saved.request import AuditRequest

MANIFEST = "manifest.json"
SIGNATURES = "signatures.json"  # of the manifest, which therefore cannot hold their hash
SALT_BYTES = 32


@dataclass(frozen=True)
class PublishedModel:
    """The model that a published audit is of.

    Attributes:
        candidate: its name in the audit.
        files: SHA-256 of its files, and of what else lies beside them, such as the card.
        auditor: who published the audit, as the Hub knew them; empty where it was not asked.
        top: the way to those files from the audit's folder.
    """

    candidate: str
    files: dict[str, str]
    auditor: str = ""
    top: str = ".."


@dataclass(frozen=True)
class Manifest:
    """What went into a report folder and what came out: SHA-256 of each input and output, and the request.

    Attributes:
        request: the inputs, as files relative to the folder, and all settings.
        inputs: hashes by what the file is for; of a file that stays elsewhere, what the store calls its content.
        outputs: hashes by path in the folder.
        withheld: populations that are left out of a published folder.
        salt: of the forget set's published hash, in hex. It is never published: with it, guesses can be tried.
        model: of a published folder, what lies beside it.
    """

    request: AuditRequest
    inputs: dict[str, str]
    outputs: dict[str, str]
    withheld: tuple[str, ...] = ()
    salt: str = ""
    model: PublishedModel | None = None
    schema_version: int = 1

    def to_json(self) -> str:
        """Return it as JSON text."""
        return str(_adapter().dump_json(self, indent=1), "utf-8")


def read_manifest(folder: str | Path) -> Manifest:
    """Read a report folder's manifest; none, or an altered one, raises `AuditError`."""
    from pydantic import ValidationError

    path = Path(folder) / MANIFEST
    if not path.exists():
        raise AuditError(
            f"Expected a whole report folder, found no {MANIFEST} in {str(folder)!r}: run the audit again."
        )
    try:
        manifest: Manifest = _adapter().validate_json(regular(path, LARGEST_JSON).read_bytes())
    except ValidationError as error:
        raise AuditError(f"{path}: this is no manifest of a report: {error.errors()[0]['msg']}.") from error
    except OSError as error:
        raise AuditError(f"{path}: this is no manifest of a report: {error}.") from error
    return manifest


def former_manifest(folder: str | Path) -> Manifest | None:
    """Return the manifest of an audit that is about to be written over; None where there is none that can be read."""
    try:
        return read_manifest(folder)
    except AuditError:
        return None


def seal(folder: str | Path, request: AuditRequest | None = None, former: Manifest | None = None) -> None:
    """Write the manifest over all files in `folder`: after a report is rendered again, with the `request` that stands.

    Args:
        folder: of the report.
        request: with paths relative to `folder`; None keeps that of the manifest there.
        former: the manifest that was there before a new audit. Its salt is kept if the forget set is the same, so that
            what was published of it can still be proven.

    Raises:
        AuditError: where an input is missing.
    """
    folder = Path(folder)
    if request is None:
        former = read_manifest(folder)
        request = former.request
    paths = {what: placed(folder, path) for what, path in request.files().items()}
    ours = {(folder / name).resolve() for name in (MANIFEST, SIGNATURES, MARK)}
    kept_here = ours | {path.resolve() for path in paths.values() if isinstance(path, Path)}
    outputs = sorted(p for p in folder.rglob("*") if p.is_file() and p.resolve() not in kept_here)
    inputs = {what: file_hash(path) for what, path in paths.items()}
    manifest = Manifest(
        request=request,
        inputs=inputs,
        outputs={p.relative_to(folder).as_posix(): file_hash(p) for p in outputs},
        salt=_salt(inputs["forget"], former),
    )
    write_text(folder / MANIFEST, manifest.to_json())


def _salt(forget_hash: str, former: Manifest | None) -> str:
    if former is not None and former.salt and former.inputs.get("forget") == forget_hash:
        return former.salt
    return secrets.token_hex(SALT_BYTES)


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hex; a missing file raises `AuditError`.

    Of one that lies elsewhere, it is what the store calls its content (`content_of`), and faults are the store's.
    """
    if isinstance(path, str) and is_remote_file(path):
        return content_of(path)
    try:
        return sha256(path)
    except FileNotFoundError as error:
        raise AuditError(f"Expected the file {str(path)!r}, found none.") from error
    except OSError as error:
        raise AuditError(f"Expected the file {str(path)!r}, which can be read: {error}.") from error


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Manifest)
