"""Signatures over a report's manifest, and with it over every file that the manifest holds the hash of.

The envelope is DSSE (https://github.com/secure-systems-lab/dsse) by `securesystemslib`, its payload an in-toto
statement (https://in-toto.io/Statement/v1) whose subject is `manifest.json`. It takes several signatures: a second
auditor, who has computed every figure again, adds theirs. Keys are Ed25519, as `openssl genpkey` makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.errors import AuditError, ConfigurationError, VerificationError
from unlearn_audit.files import regular, write_text
from unlearn_audit.saved.manifest import MANIFEST, SIGNATURES, file_hash

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD = "application/vnd.in-toto+json"
_LARGEST = 1 << 20  # bytes of a key or an envelope
EXTRA = "Signatures need an extra: pip install 'unlearn-audit[sign]'."


def sign(folder: str | Path, key: str | Path) -> str:
    """Sign a report's manifest with a private key in PEM, and return the id of the public one.

    Signatures of the same manifest that are there stay; those of another one are replaced. It is for the caller to
    compute the figures again first.

    Raises:
        AuditError: where the folder holds no whole report.
        ConfigurationError: for what is no Ed25519 key, or without the extra `sign`.
    """
    folder = Path(folder)
    signer = _signer(Path(key))
    envelope = _envelope(folder)
    statement = _statement(folder)
    if envelope is None or envelope.payload != statement:
        envelope = _library().Envelope(statement, PAYLOAD, {})
    envelope.sign(signer)
    write_text(folder / SIGNATURES, json.dumps(envelope.to_dict(), indent=1) + "\n")
    return str(signer.public_key.keyid)


def signed_by(folder: str | Path) -> tuple[str, ...]:
    """Return the ids of the keys by which a report says that it was signed; without their keys nothing is proven."""
    envelope = _envelope(Path(folder))
    return () if envelope is None else tuple(envelope.signatures)


def check_identity(folder: str | Path, key: str | Path) -> str:
    """Return the id of a public key in PEM by which the manifest was signed.

    Raises:
        VerificationError: where it was not, or another manifest was.
        ConfigurationError: for what is no public key, or without the extra `sign`.
    """
    from securesystemslib.exceptions import VerificationError as Unverified

    folder = Path(folder)
    public, envelope = _public(Path(key)), _envelope(folder)
    if envelope is None:
        raise VerificationError(f"Expected a signature by {Path(key).name}, and the report has none.")
    try:
        envelope.verify([public], 1)
    except Unverified as error:
        raise VerificationError(f"The report has no signature that {Path(key).name} made.") from error
    if envelope.payload != _statement(folder):
        raise VerificationError(f"{Path(key).name} signed another {MANIFEST}: the report was changed afterwards.")
    return str(public.keyid)


def _statement(folder: Path) -> bytes:
    subject = {"name": MANIFEST, "digest": {"sha256": file_hash(folder / MANIFEST)}}
    predicate = {"result": "PASSED", "configuration": [], "passedTests": ["every figure computed again"]}
    statement = {"_type": STATEMENT, "subject": [subject], "predicateType": PREDICATE, "predicate": predicate}
    return json.dumps(statement, sort_keys=True).encode()


def _envelope(folder: Path) -> Envelope | None:
    path = folder / SIGNATURES
    if not path.exists():
        return None
    try:
        found: Envelope = _library().Envelope.from_dict(json.loads(regular(path, _LARGEST).read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise AuditError(f"{path}: expected signatures in a DSSE envelope: {error}.") from error
    return found


def _library() -> Any:
    try:
        import securesystemslib.dsse
    except ImportError as error:
        raise ConfigurationError(EXTRA) from error
    return securesystemslib.dsse


def _signer(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner(_read(path, "private", Ed25519PrivateKey, lambda text: load_pem_private_key(text, None)))


def _public(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    return SSlibKey.from_crypto(_read(path, "public", Ed25519PublicKey, load_pem_public_key))


def _read(path: Path, what: str, kind: type, load: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    _library()
    try:
        key = load(regular(path, _LARGEST).read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"Expected a {what} Ed25519 key in PEM, got {str(path)!r}: {error}") from error
    if not isinstance(key, kind):
        raise ConfigurationError(f"Expected a {what} Ed25519 key in {str(path)!r}, got another kind of key.")
    return key
