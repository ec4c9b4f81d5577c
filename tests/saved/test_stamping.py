"""A time stamp over a seal, by an authority made here with openssl: nothing is asked of a network."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import request_in
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, VerificationError
from unlearn_audit.saved.manifest import seal as write_manifest
from unlearn_audit.saved.running import run_audit, save_audit
from unlearn_audit.saved.sealing import Seal
from unlearn_audit.saved.stamping import STAMP, check_stamp
from unlearn_audit.saved.standing import standing
from unlearn_audit.saved.verify import verify

pytest.importorskip("rfc3161_client")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
CONFIGURATION = """\
[tsa]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
signer_cert = tsa.pem
signer_key = tsa.key
[usage]
extendedKeyUsage = critical,timeStamping
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path) -> Path:
    """Make a root and an authority below it, and return the folder."""
    folder.mkdir()
    (folder / "c.cnf").write_text(CONFIGURATION)
    (folder / "serial").write_text("01")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, *new, "-x509", "-days", "2", "-subj", "/CN=root", "-keyout", "root.key", "-out", "root.pem")
    openssl(folder, *new, "-subj", "/CN=authority", "-keyout", "tsa.key", "-out", "tsa.csr")
    by_root = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2")
    signed = ("x509", "-req", "-in", "tsa.csr", *by_root)
    openssl(folder, *signed, "-extfile", "c.cnf", "-extensions", "usage", "-out", "tsa.pem")
    return folder


def stamp(folder: Path, seal: Path, to: Path) -> None:
    openssl(folder, "ts", "-query", "-data", str(seal), "-sha256", "-cert", "-out", "q.tsq")
    openssl(folder, "ts", "-reply", "-config", "c.cnf", "-section", "tsa", "-queryfile", "q.tsq", "-out", str(to))


@pytest.fixture(scope="module")
def stamped(tmp_path_factory) -> tuple[Path, Path]:
    """A report whose seal was stamped before it was made, and the authority. Not to be changed."""
    folder = tmp_path_factory.mktemp("stamped")
    request, made = request_in(folder), authority(folder / "authority")
    (folder / "mine.json").write_text(Seal.of(request, folder).to_json())
    stamp(made, folder / "mine.json", folder / "mine.tsr")
    save_audit(run_audit(request, base=folder), request, folder / "report", base=folder, sealed=folder / "mine.json")
    return folder / "report", made


def test_a_stamp_that_is_older_than_the_report_is_told(stamped) -> None:
    report, made = stamped
    when, found = check_stamp(report, made / "root.pem"), verify(report)
    assert found.differences == () and when.isoformat() <= AuditReport.load(report).provenance.created
    assert "by whom was not asked" in dict(standing(report, found, ()))["when"]
    shown = CliRunner().invoke(app, ["verify", str(report), "--stamped-by", str(made / "root.pem")])
    assert f"stamped {when:%Y-%m-%d %H:%M:%S} UTC, by root.pem" in shown.output
    assert "a time stamp by somebody else" in (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text()


def test_stamps_of_others_of_another_seal_and_later_ones_are_refused(stamped, tmp_path) -> None:
    shutil.copytree(stamped[0].parent, tmp_path / "copy")
    report, made = tmp_path / "copy" / "report", stamped[1]
    with pytest.raises(VerificationError, match=r"no stamp of this seal by an authority of root\.pem"):
        check_stamp(report, authority(tmp_path / "other") / "root.pem")
    stamp(made, report / "report.json", report / STAMP)
    with pytest.raises(VerificationError, match="no stamp of this seal"):
        check_stamp(report, made / "root.pem")
    saved = AuditReport.load(report)
    early = dataclasses.replace(saved.provenance, created="2020-01-01T00:00:00+00:00")
    (report / "report.json").write_text(dataclasses.replace(saved, provenance=early).to_json())
    stamp(made, report / "seal.json", report / STAMP)
    write_manifest(report)
    with pytest.raises(VerificationError, match="after the report was made"):
        check_stamp(report, made / "root.pem")


@pytest.mark.parametrize("content", [b"", b"noise", bytes(5000), b"\x30\x03\x02\x01\x00"])
def test_what_is_no_stamp_or_certificate_is_refused(stamped, report_folder, tmp_path, content) -> None:
    (report_folder / "seal.json").write_text("{}")
    (report_folder / STAMP).write_bytes(content)
    with pytest.raises(VerificationError):
        check_stamp(report_folder, stamped[1] / "root.pem")
    (tmp_path / "x.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match="certificate in PEM"):
        check_stamp(stamped[0], tmp_path / "x.pem")
    (report_folder / STAMP).unlink()
    with pytest.raises(VerificationError, match="Expected a seal and its time stamp"):
        check_stamp(report_folder, stamped[1] / "root.pem")
