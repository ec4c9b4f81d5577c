"""A time stamp by somebody else over a report's seal (RFC 3161): what the seal settles was settled by then.

A time-stamping authority signs the hash of a file with the time. Asking one takes `openssl` and a line to it; checking
its answer, by `rfc3161-client`, takes the certificate of its root and no network.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, VerificationError
from unlearn_audit.files import regular
from unlearn_audit.saved.sealing import SEAL

STAMP = "seal.tsr"  # of a report's folder: the authority's answer
EXTRA = "Time stamps need an extra: pip install 'unlearn-audit[stamp]'."
_LARGEST = 1 << 20  # bytes of a stamp or a certificate


def check_stamp(folder: str | Path, root: str | Path) -> datetime:
    """Return when an authority below a root certificate in PEM stamped a report's seal, before the report was made.

    Raises:
        VerificationError: where there is no stamp, it is of another seal or authority, or younger than the report.
        ConfigurationError: for what is no certificate, or without the extra `stamp`.
    """
    folder = Path(folder)
    seal, answer = (_content(folder / name) for name in (SEAL, STAMP))
    stamped = _verified(answer, seal, Path(root))
    made = datetime.fromisoformat(AuditReport.load(folder).provenance.created)
    if stamped > made:
        raise VerificationError(
            f"The seal was stamped at {stamped.isoformat()}, after the report was made ({made.isoformat()}): the stamp "
            "does not say what was settled before."
        )
    return stamped


def _content(path: Path) -> bytes:
    try:
        return regular(path, _LARGEST).read_bytes()
    except OSError as error:
        raise VerificationError(f"Expected a seal and its time stamp, {SEAL} and {STAMP}: {error}") from error


def _verified(answer: bytes, seal: bytes, root: Path) -> datetime:
    """Return the time of a stamp that a root vouches for."""
    library, certificate = _library(), _certificate(root)
    try:
        response = library.decode_timestamp_response(answer)
        verifier = library.VerifierBuilder().add_root_certificate(certificate).build()
        verifier.verify_message(response, seal)
    except (library.VerificationError, ValueError, TypeError) as error:
        raise VerificationError(f"{STAMP} is no stamp of this seal by an authority of {root.name}: {error}") from error
    found: datetime = response.tst_info.gen_time
    return found.astimezone(UTC)


def _library() -> Any:
    try:
        import rfc3161_client
    except ImportError as error:
        raise ConfigurationError(EXTRA) from error
    return rfc3161_client


def _certificate(path: Path) -> Any:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(regular(path, _LARGEST).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Expected a certificate in PEM, got {str(path)!r}: {error}") from error
