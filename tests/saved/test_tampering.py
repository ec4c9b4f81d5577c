"""Forgeries that fit together: each is a line of docs/threat-model.md, which says what catches it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.made_up_audit import made_up, request_in
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import AuditError, ConfigurationError, VerificationError
from unlearn_audit.saved.manifest import SIGNATURES, read_manifest
from unlearn_audit.saved.manifest import seal as write_manifest
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.saved.sealing import SEAL, Seal, broken, read_seal
from unlearn_audit.saved.signing import check_identity, sign, signed_by
from unlearn_audit.saved.standing import standing
from unlearn_audit.saved.verify import verify

pytestmark = pytest.mark.slow

MODEL = Path(__file__).parents[2] / "docs" / "threat-model.md"


def audited(folder, request, sealed=None) -> Path:
    """Audit as the request says; a forger does so too, and writes a manifest that fits."""
    report = folder / "report"
    save_audit(run_audit(request, base=folder), request, report, base=folder, sealed=sealed)
    return report


@pytest.fixture
def sealed(tmp_path):
    """A request, and the seal that was made before its candidates were seen."""
    request = request_in(tmp_path)
    path = tmp_path / "sealed.json"
    path.write_text(Seal.of(request, tmp_path).to_json())
    return request, path


def test_an_audit_as_it_was_sealed_agrees(tmp_path, sealed) -> None:
    report = audited(tmp_path, *sealed)
    assert verify(report).differences == ()
    rows = dict(standing(report, verify(report), ()))
    assert rows["settled before looking"].startswith("hashed: seal")
    assert "rests on trust: not signed" in rows["who vouches"]


FORGERIES = {
    "the policy is relaxed": lambda request: dataclasses.replace(request, policy=Policy(level=0.5, pattern=0.5)),
    "a reference is dropped": lambda request: dataclasses.replace(
        request, references=dict(list(request.references.items())[:3])
    ),
    "the strata are cut otherwise": lambda request: dataclasses.replace(
        request, neighbourhood=dataclasses.replace(request.neighbourhood, number=2)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_changed_after_looking_is_caught_by_the_seal(tmp_path, sealed, forgery) -> None:
    request, path = sealed
    forged = FORGERIES[forgery](request)
    assert list(broken(read_seal(path), forged, tmp_path))  # `audit --seal` refuses
    differences = verify(audited(tmp_path, forged, path)).differences
    assert differences and all(difference.startswith("seal: ") for difference in differences)
    assert forgery in MODEL.read_text()


def test_an_overwritten_reference_and_another_forget_set_are_caught_by_the_seal(tmp_path, sealed) -> None:
    request, path = sealed
    made_up(77).save(tmp_path / "retrained-1.parquet")
    ids = (tmp_path / "forget.txt").read_text().splitlines()
    (tmp_path / "forget.txt").write_text("\n".join(ids[1:]))
    differences = verify(audited(tmp_path, request, path)).differences
    assert differences == (
        "seal: predictions of retrained-1 is not the file that was sealed",
        "seal: the forget set is not the one that was sealed",
    )
    for line in ("predictions are overwritten", "the forget set is changed"):
        assert line in MODEL.read_text()


def test_a_seal_that_is_taken_away_or_made_afterwards_is_caught_by_the_report(tmp_path, sealed) -> None:
    request, path = sealed
    report = audited(tmp_path, request, path)
    (report / SEAL).write_text(Seal.of(request, tmp_path).to_json())
    write_manifest(report)
    assert any("another seal" in difference for difference in verify(report).differences)
    (report / SEAL).unlink()
    write_manifest(report)
    assert any("cannot be checked" in difference for difference in verify(report).differences)


def test_a_report_without_a_seal_says_so(tmp_path) -> None:
    report = audited(tmp_path, request_in(tmp_path))
    assert dict(standing(report, verify(report), ()))["settled before looking"] == "rests on trust: there is no seal"


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    private = Ed25519PrivateKey.generate()
    paths = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    paths[0].write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    paths[1].write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return paths


def test_signatures_of_two_auditors_hold_until_the_report_is_changed(report_folder, tmp_path) -> None:
    """Candidates' names swapped, and whatever else fits together, is not what was signed."""
    first, second, other = (key_pair(tmp_path, name) for name in ("first", "second", "other"))
    sign(report_folder, first[0])
    assert verify(report_folder).differences == ()
    sign(report_folder, second[0])
    assert len(signed_by(report_folder)) == 2
    for _, public in (first, second):
        assert check_identity(report_folder, public) in signed_by(report_folder)
    with pytest.raises(VerificationError, match=r"no signature that other\.pub\.pem made"):
        check_identity(report_folder, other[1])
    request = read_manifest(report_folder).request
    swapped = dict(zip(request.candidates, reversed(request.candidates.values()), strict=True))
    write_manifest(report_folder, dataclasses.replace(request, candidates=swapped))
    with pytest.raises(VerificationError, match="signed another manifest"):
        check_identity(report_folder, first[1])
    assert "names are swapped" in MODEL.read_text()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"payload": 3}', '{"payload": "", "payloadType": "", "signatures": [{}]}']
)
def test_damaged_signatures_are_refused(report_folder, tmp_path, text) -> None:
    (report_folder / SIGNATURES).write_text(text)
    with pytest.raises(AuditError):
        check_identity(report_folder, key_pair(tmp_path, "a")[1])


def test_a_forged_signature_is_refused(report_folder, tmp_path) -> None:
    private, public = key_pair(tmp_path, "a")
    sign(report_folder, private)
    envelope = json.loads((report_folder / SIGNATURES).read_text())
    envelope["signatures"][0]["sig"] = "A" * 86 + "=="
    (report_folder / SIGNATURES).write_text(json.dumps(envelope))
    with pytest.raises(VerificationError, match="no signature"):
        check_identity(report_folder, public)


def test_what_is_no_key_is_refused(report_folder, tmp_path) -> None:
    private, public = key_pair(tmp_path, "a")
    (tmp_path / "noise.pem").write_bytes(b"noise")
    for path in (public, tmp_path / "noise.pem", tmp_path / "missing.pem", tmp_path):
        with pytest.raises(ConfigurationError, match="private Ed25519 key"):
            sign(report_folder, path)
    sign(report_folder, private)
    with pytest.raises(ConfigurationError, match="public Ed25519 key"):
        check_identity(report_folder, private)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "\ufeff", '{"policy": {}}', "9" * 5000])
def test_what_is_no_seal_is_refused(tmp_path, text) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(AuditError, match="Expected a seal"):
        read_seal(tmp_path / "x.json")
