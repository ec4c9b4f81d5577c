"""What each part of a report rests on, after it was verified: computing again, a hash, a signature, or trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import AuditError
from unlearn_audit.saved.manifest import SIGNATURES, read_manifest
from unlearn_audit.saved.sealing import SEAL, read_seal
from unlearn_audit.saved.stamping import STAMP
from unlearn_audit.saved.verify import Verification

TRUST = "rests on trust:"
SETTLED = "settled before looking"
_SHOWN = 8  # names in a row


def standing(folder: str | Path, found: Verification, signers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return rows (what, how it stands) for a report that `verify` found without differences.

    Args:
        folder: of the report.
        found: by `verify`.
        signers: ids of the keys whose signatures were checked.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    withheld = " and ".join(manifest.withheld)
    of_whom = f"computed again: {found.figures}" if found.figures else "not computed again"
    unsigned = "signed, but by whom was not asked: --identity" if (folder / SIGNATURES).exists() else "not signed"
    return (
        ("figures and answers", of_whom + (f"; on {withheld} examples: {TRUST} withheld" if withheld else "")),
        ("files of the report", f"hashed: {found.files}"),
        ("predictions are the models'", f"{TRUST} the models are not run again"),
        ("weights", _weights(found)),
        ("references are retrained", found.retrained or f"{TRUST} none is trained again: --retrain one"),
        (SETTLED, _sealed(folder)),
        (
            "who vouches",
            f"signature checked: {', '.join(key[:16] for key in signers)}" if signers else f"{TRUST} {unsigned}",
        ),
        ("when", found.stamped or f"{TRUST} {_unstamped(folder)}"),
    )


def _weights(found: Verification) -> str:
    here = f"hashed again: {_named(found.weights)}" if found.weights else ""
    absent = f"{TRUST} not here: {_named(found.absent)}" if found.absent else ""
    return "; ".join(part for part in (here, absent) if part) or f"{TRUST} they are not here"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _sealed(folder: Path) -> str:
    try:
        seal = AuditReport.load(folder).provenance.seal
    except AuditError:  # answers alone are published
        seal = ""
    if not seal:
        return f"{TRUST} there is no seal"
    seen = _seen(folder)
    if seen:
        return f"NO for {_named(seen)}: there already when seal {seal[:16]} was made"
    return f"hashed: seal {seal[:16]}; that it is older than the candidates, ask who was given it"


def _unstamped(folder: Path) -> str:
    there = (folder / STAMP).exists()
    return "stamped, but by whom was not asked: --stamped-by" if there else "no time stamp by somebody else"


def _seen(folder: Path) -> tuple[str, ...]:
    """Return the candidates that were there before the seal, as it says itself; a published report has none."""
    return read_seal(folder / SEAL).seen if (folder / SEAL).exists() else ()
