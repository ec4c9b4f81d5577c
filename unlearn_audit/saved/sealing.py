"""A seal: what an audit will rest on, committed to before any candidate is seen.

It holds the policy and the other settings, a salted commitment to the forget set, and the hashes of what references and
original predict. A report carries the seal that it was made under. `verify` then finds a policy that was relaxed, a
reference that was dropped or a forget set that was changed after somebody had looked at the outcome.

A seal is worth as much as the proof that it is old: give it, or its SHA-256, to somebody else before unlearning.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import AuditError
from unlearn_audit.files import read_json, regular, versions
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.remote.sources import placed
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import MANIFEST, SALT_BYTES, file_hash
from unlearn_audit.saved.request import AuditRequest

SEAL = "seal.json"  # of a report's folder
_LARGEST = 1 << 24  # bytes


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What was committed to.

    Attributes:
        created: when, UTC, by this machine's clock.
        forget: `commitment` of the forget set's ids and the salt.
        salt: hexadecimal; whoever has it can try guesses of the forget set, so it is not for everyone.
        inputs: SHA-256 of the files of references, original and untrained model, by what each is for.
        policy: that verdicts will rest on.
        neighbourhood: how proximity and strata will be made.
        measures: that will be reported; none means all.
        versions: of the software.
        planned: for models that were not there yet, the hash of the study's stage that makes their predictions: over
            data, forget set, architecture, training and seed.
        seen: names of candidates that were there already; of these the seal settles nothing in advance.
    """

    created: str
    forget: str
    salt: str
    inputs: dict[str, str]
    policy: Policy
    neighbourhood: NeighbourhoodConfig
    measures: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: AuditRequest, base: Path) -> Seal:
        """Commit to a request, whose candidates are not looked at; relative paths are from `base`.

        Raises:
            AuditError: where a file is missing.
        """
        return cls.over(
            Forgotten.read(base / request.forget).ids,
            inputs={what: file_hash(placed(base, path)) for what, path in committed_files(request).items()},
            policy=request.policy,
            neighbourhood=request.neighbourhood,
            measures=request.measures,
        )

    @classmethod
    def over(cls, ids: Iterable[str], **committed: Any) -> Seal:
        """Commit to the ids of a forget set and to the other fields, now and by this software."""
        salt = secrets.token_hex(SALT_BYTES)
        return cls(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            forget=commitment(ids, salt),
            salt=salt,
            versions=versions(),
            **committed,
        )

    def to_json(self) -> str:
        """Return it as JSON text."""
        return str(_adapter().dump_json(self, indent=1), "utf-8")


def read_seal(path: str | Path) -> Seal:
    """Read a seal; raises `AuditError`."""
    from pydantic import ValidationError

    try:
        seal: Seal = _adapter().validate_json(regular(path, _LARGEST).read_bytes())
    except FileNotFoundError as error:
        raise AuditError(f"Expected a seal, found no file {str(path)!r}.") from error
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise AuditError(f"Expected a seal that `unlearn-audit seal` wrote, got {str(path)!r}: {reason}") from error
    return seal


def committed_files(request: AuditRequest) -> dict[str, str]:
    """Return the files of all but the forget set and the candidates, by what each is for."""
    candidates = tuple(f"predictions of {name}" for name in request.candidates)
    return {
        what: path
        for what, path in request.files().items()
        if what != "forget" and not any(what == name or what.startswith(f"{name} (") for name in candidates)
    }


def broken(seal: Seal, request: AuditRequest, base: Path) -> Iterator[str]:
    """Say in a sentence each what of a request, with paths from `base`, is not what was sealed."""
    settings = {name: (getattr(seal, name), getattr(request, name)) for name in ("policy", "neighbourhood", "measures")}
    for name, (sealed, found) in settings.items():
        if sealed != found:
            yield f"seal: {name} was sealed as {_text(sealed)}, and is {_text(found)}"
    files = committed_files(request)
    for what in sorted(seal.inputs.keys() | seal.planned.keys() | files.keys()):
        if what not in files:
            yield f"seal: {what} was sealed, and is left out"
        elif what not in seal.inputs and what not in seal.planned:
            yield f"seal: {what} was not sealed, and was added"
        elif not _as_sealed(seal, what, placed(base, files[what])):
            yield f"seal: {what} is not the file that was sealed"
    if commitment(Forgotten.read(base / request.forget).ids, seal.salt) != seal.forget:
        yield "seal: the forget set is not the one that was sealed"


def unproven(seal: Seal, request: AuditRequest, base: Path) -> tuple[str, ...]:
    """Return what a seal planned, whose files lie where no stage of a study says how they were made."""
    files = committed_files(request)
    return tuple(what for what in seal.planned if what in files and _stage_of(placed(base, files[what])) is None)


def _as_sealed(seal: Seal, what: str, path: Path | str) -> bool:
    """Whether a file is the one that was sealed, or made by the stage that was; also where no stage says anything."""
    if isinstance(path, Path) and not path.is_file():  # which is said of it elsewhere
        return True
    if what in seal.inputs:
        return file_hash(path) == seal.inputs[what]
    stage = _stage_of(path)
    return stage is None or stage == (seal.planned[what], file_hash(path))


def _stage_of(path: Path | str) -> tuple[str, str] | None:
    """Return the hash of the stage that made a file and that of the file, as the manifest beside it says."""
    if isinstance(path, str):  # elsewhere
        return None
    path = path.resolve()
    try:
        manifest = read_json(path.parent / MANIFEST)
        return str(manifest["hash"]), str(manifest["files"][path.name]["sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _text(value: Any) -> str:
    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value), sort_keys=True)


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Seal)
