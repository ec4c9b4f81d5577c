"""The ledger of a model's deletion requests: what was asked for, what was audited when, and what is left of alpha.

It is a folder. `ledger.jsonl` holds an entry a line, each with the SHA-256 of the line before it: nothing is changed or
left out in the middle unseen. Lines cut off at the end, or a ledger written anew, are found by whoever was given the
hash of the last line, its head, before. `private/` holds the ids, and the salts of their commitments; it stays with the
controller, and the chain can be checked without it.

Entries are added under a lock, by a new file that takes the place of the old one: a kill at any moment leaves one or
the other, whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Outcome
from unlearn_audit.errors import AuditError, ConfigurationError, VerificationError
from unlearn_audit.files import LARGEST_JSON, read_json, regular, replacing, versions, write_text
from unlearn_audit.folders import claim_folder
from unlearn_audit.names import checked_text
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import SALT_BYTES
from unlearn_audit.saved.spending import level

LEDGER = "ledger.jsonl"
PRIVATE = "private"
KIND = "ledger"  # of folder
FIRST = "0" * 64  # what the first entry has in the place of a hash
WAIT = 60  # seconds for another process to finish its entry


@dataclass(frozen=True)
class Opened:
    """The first entry.

    Attributes:
        model: what the requests are made of, in words.
        alpha: the probability of any wrong "fail", over all audits that will ever be entered.
        expected: how many audits are expected; see `spending`.
        versions: of the software.
    """

    model: str
    alpha: float
    expected: int
    versions: dict[str, str]
    kind: Literal["opened"] = "opened"


@dataclass(frozen=True)
class Requested:
    """A deletion request: how many examples, and salted commitments to them and to all that were asked for so far."""

    request: int
    size: int
    commitment: str
    size_so_far: int
    commitment_so_far: str
    kind: Literal["requested"] = "requested"


@dataclass(frozen=True)
class Drift:
    """How far a model is from retraining: in the groups of a question, the farthest level and pattern.

    Attributes:
        level: the difference of mean confidence in the label that is farthest from 0, in [-1, 1].
        pattern: the largest excess over the noise floor, in the unit of the measure.
    """

    level: float
    pattern: float


@dataclass(frozen=True)
class Again:
    """What the newest model says of one request by itself: the outcome of the first question, and its drift there."""

    request: int
    outcome: Outcome
    drift: Drift


@dataclass(frozen=True)
class Audited:
    """An audit of the model against retraining without all requests so far.

    Attributes:
        audit: its number; with it goes the `level` that it may spend.
        requests: how many requests there were.
        manifest: SHA-256 of the report's manifest, which holds those of all its files.
        candidate: name of the model in the report.
        weights: SHA-256 of its weights; empty where the report does not know it.
        references: K.
        level: that the audit and the requests asked again might spend, half each.
        policy: of the report.
        outcome: of the verdict; "inconclusive" where it was withheld.
        withheld: whether it was.
        answers: to the three questions; empty without a verdict.
        drift: from retraining, by question.
        again: every request by itself.
    """

    audit: int
    requests: int
    manifest: str
    candidate: str
    weights: str
    references: int
    level: float
    policy: Policy
    outcome: Outcome
    withheld: bool
    answers: dict[Question, Outcome]
    drift: dict[Question, Drift]
    again: tuple[Again, ...]
    kind: Literal["audited"] = "audited"


@dataclass(frozen=True)
class Entry:
    """A line: its number from 1, the SHA-256 of the line before it, when it was made (UTC), and what it says."""

    number: int
    previous: str
    time: str
    what: Opened | Requested | Audited = field(metadata={"discriminator": "kind"})


@dataclass(frozen=True)
class DeletionLedger:
    """A ledger that was read, its chain checked.

    Attributes:
        folder: in which it lies.
        entries: the first is `Opened`.
        hashes: SHA-256 of each line.
    """

    folder: Path
    entries: tuple[Entry, ...]
    hashes: tuple[str, ...]

    @property
    def opened(self) -> Opened:
        """The first entry."""
        first = self.entries[0].what
        assert isinstance(first, Opened)
        return first

    @property
    def requests(self) -> tuple[Requested, ...]:
        """All requests, in order."""
        return tuple(entry.what for entry in self.entries if isinstance(entry.what, Requested))

    @property
    def audits(self) -> tuple[Audited, ...]:
        """All audits, in order."""
        return tuple(entry.what for entry in self.entries if isinstance(entry.what, Audited))

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self.hashes[-1]

    @property
    def next_level(self) -> float:
        """What the next audit and its requests asked again may spend together."""
        return level(self.opened.alpha, self.opened.expected, len(self.audits) + 1)

    @property
    def next_alpha(self) -> float:
        """The `policy.alpha` of the next audit: half of its level."""
        return self.next_level / 2

    @property
    def unaudited(self) -> int:
        """How many of the latest requests no audit has seen."""
        return len(self.requests) - max((audit.requests for audit in self.audits), default=0)

    def so_far(self) -> Path:
        """Return the file of the ids of all requests so far: the forget set of the next audit.

        Raises:
            AuditError: where there is no request yet.
        """
        if not self.requests:
            raise AuditError("Expected a deletion request in the ledger, found none: add one with --request.")
        return _so_far(self.folder, len(self.requests))

    def ids_of(self, request: int) -> tuple[str, ...]:
        """Return the ids of a request, from `private/`, after they were held against its commitment.

        Raises:
            AuditError: where they are not there.
            VerificationError: where they are others.
        """
        return _opened_ids(_request(self.folder, request), self.requests[request - 1].commitment)

    def check_so_far(self, ids: Sequence[str]) -> None:
        """Raise `AuditError` where ids are not those of all requests so far."""
        wanted = self.requests[-1].commitment_so_far if self.requests else ""
        if not wanted or commitment(ids, _salt(self.so_far())) != wanted:
            raise AuditError(
                f"Expected the forget set of all {len(self.requests)} requests so far, got another one. It is in "
                f"{self.so_far()}: give that as --forget, and references that were retrained without all of it."
            )

    def add(self, what: Requested | Audited) -> DeletionLedger:
        """Return the ledger with one more entry, which is written; the caller holds `locked`."""
        return _written(self.folder, (*_lines(self.folder),), _line(len(self.entries) + 1, self.head, what))


def open_ledger(folder: str | Path, model: str, *, alpha: float = 0.05, expected: int = 10) -> DeletionLedger:
    """Begin a ledger.

    Args:
        folder: new or empty.
        model: what the requests are made of, in words.
        alpha: over all audits, in (0, 0.5).
        expected: how many audits are expected, at least 1.

    Raises:
        ConfigurationError: for such a folder that holds something, and for values out of range.
    """
    checked_text(model, "the model")
    Policy(alpha=alpha)  # checks its range
    if expected < 1:
        raise ConfigurationError(f"Expected at least 1 audit to be expected, got {expected}.")
    folder = claim_folder(folder, KIND)
    with locked(folder):
        if (folder / LEDGER).exists():
            raise ConfigurationError(f"Expected a new folder for a ledger, but {str(folder)!r} holds one.")
        (folder / PRIVATE).mkdir(mode=0o700, exist_ok=True)
        return _written(folder, (), _line(1, FIRST, Opened(model, alpha, expected, versions())))


def add_request(folder: str | Path, ids: Sequence[str]) -> DeletionLedger:
    """Enter a deletion request, and return the ledger.

    Raises:
        AuditError: for a request of no example, or of one that was asked for before.
    """
    folder = Path(folder)
    with locked(folder):
        ledger = read_ledger(folder)
        number = len(ledger.requests) + 1
        before = [known for request in range(1, number) for known in ledger.ids_of(request)]
        repeated = [known for known, times in Counter((*ids, *set(before))).items() if times > 1]
        if repeated or not ids:
            what = f"{repeated[0]!r} more than once" if repeated else "none"
            raise AuditError(f"Expected a request of examples that none asked for before, got {what}.")
        own = _kept(_request(folder, number), ids, f"deletion request {number}")
        every = _kept(_so_far(folder, number), [*before, *ids], f"deletion requests 1 to {number}")
        return ledger.add(Requested(number, len(ids), own, len(before) + len(ids), every))


def read_ledger(folder: str | Path, head: str = "") -> DeletionLedger:
    """Read a ledger and check its chain.

    Args:
        folder: of the ledger.
        head: hash of a line that it had before, as given away then; at least 16 digits. Empty asks for none.

    Raises:
        AuditError: where there is none.
        VerificationError: for an edited one, with the line.
    """
    folder = Path(folder)
    lines = _lines(folder)
    entries = tuple(_entry(line, number) for number, line in enumerate(lines, start=1))
    ledger = DeletionLedger(folder, entries, tuple(hashlib.sha256(line).hexdigest() for line in lines))
    wrong = next(_wrong(ledger), None)
    if wrong:
        raise VerificationError(f"{folder / LEDGER}: {wrong}. The ledger was edited.")
    if head and (len(head) < 16 or not any(known.startswith(head.lower()) for known in ledger.hashes)):
        raise VerificationError(f"No line of the ledger has the hash {head[:64]}: it was cut off or written anew.")
    return ledger


def check_private(ledger: DeletionLedger) -> int:
    """Hold the ids in `private/` against their commitments; return of how many requests they are there.

    Raises:
        VerificationError: where they are others.
    """
    here = [request.request for request in ledger.requests if _request(ledger.folder, request.request).exists()]
    for request in here:
        ledger.ids_of(request)
        _opened_ids(_so_far(ledger.folder, request), ledger.requests[request - 1].commitment_so_far)
    return len(here)


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold a ledger while it is read and added to.

    Raises:
        AuditError: where there is no such folder, or another process holds the ledger for a minute.
    """
    from filelock import FileLock, Timeout

    if not Path(folder).is_dir():
        raise AuditError(f"Expected the folder of a ledger, found none: {str(folder)!r}.")
    lock = FileLock(Path(folder) / ".lock")
    try:
        lock.acquire(timeout=WAIT)
    except Timeout as error:
        raise AuditError(f"Another process holds the ledger {str(folder)!r}. Run the same again.") from error
    try:
        yield
    finally:
        lock.release()


def _wrong(ledger: DeletionLedger) -> Iterator[str]:
    """Say what of a ledger does not follow from the lines before."""
    if not ledger.entries or not isinstance(ledger.entries[0].what, Opened):
        yield "expected a first line that opens it"
        return
    requests = audits = 0
    for number, (entry, before) in enumerate(zip(ledger.entries, (FIRST, *ledger.hashes), strict=False), start=1):
        if entry.number != number or entry.previous != before:
            yield f"line {number} does not follow the line before it"
        if isinstance(entry.what, Opened) and number > 1:
            yield f"line {number} opens it again"
        elif isinstance(entry.what, Requested):
            requests += 1
            if entry.what.request != requests:
                yield f"line {number} is request {entry.what.request}, expected {requests}"
        elif isinstance(entry.what, Audited):
            audits += 1
            if (entry.what.audit, entry.what.requests) != (audits, requests):
                yield f"line {number} is audit {entry.what.audit} of {entry.what.requests} requests"
            allowed = level(ledger.opened.alpha, ledger.opened.expected, audits)
            if max(entry.what.level, 2 * entry.what.policy.alpha) > allowed * (1 + 1e-9):
                yield f"line {number} spends more of alpha than its {allowed:g}"


def _lines(folder: Path) -> list[bytes]:
    path = folder / LEDGER
    try:
        text = regular(path, LARGEST_JSON).read_bytes()
    except FileNotFoundError as error:
        raise AuditError(f"Expected a ledger of deletion requests, found no {LEDGER} in {str(folder)!r}.") from error
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error}.") from error
    return text.splitlines()


def _entry(line: bytes, number: int) -> Entry:
    from pydantic import ValidationError

    try:
        entry: Entry = _adapter().validate_json(line)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise VerificationError(f"Line {number} of the ledger is no entry: {reason}. The ledger was edited.") from error
    return entry


def _line(number: int, previous: str, what: Opened | Requested | Audited) -> bytes:
    entry = Entry(number, previous, datetime.now(UTC).isoformat(timespec="seconds"), what)
    return bytes(_adapter().dump_json(entry))


def _written(folder: Path, lines: tuple[bytes, ...], line: bytes) -> DeletionLedger:
    with replacing(folder / LEDGER) as draft, draft.open("wb") as file:
        file.write(b"".join(each + b"\n" for each in (*lines, line)))
        file.flush()
        os.fsync(file.fileno())
    return read_ledger(folder)


def _request(folder: Path, number: int) -> Path:
    return folder / PRIVATE / f"request-{number}.json"


def _so_far(folder: Path, number: int) -> Path:
    return folder / PRIVATE / f"so-far-{number}.json"


def _kept(path: Path, ids: Sequence[str], description: str) -> str:
    """Write ids with a new salt, and return the commitment to them; the file is a saved forget set too."""
    salt, plain = secrets.token_hex(SALT_BYTES), dataclasses.replace(Forgotten.of(ids), description=description)
    content = {"description": plain.description, "hash": plain.hash, "ids": plain.ids, "salt": salt}
    write_text(path, json.dumps(content, indent=1) + "\n")
    return commitment(plain.ids, salt)


def _salt(path: Path) -> str:
    try:
        return str(read_json(path)["salt"])
    except FileNotFoundError as error:
        raise AuditError(f"Expected the ids and the salt of a request in {str(path)!r}, found none.") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise VerificationError(f"{path}: expected the ids and the salt of a request: {error}.") from error


def _opened_ids(path: Path, committed: str) -> tuple[str, ...]:
    salt, ids = _salt(path), Forgotten.read(path).ids
    if commitment(ids, salt) != committed:
        raise VerificationError(f"{path}: these are not the ids that the ledger commits to.")
    return ids


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Entry)
