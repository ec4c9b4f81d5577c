"""The salt in the manifest: as lasting as the forget set that it is for."""

from __future__ import annotations

import subprocess

from tests.made_up_audit import request_in
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import MANIFEST, read_manifest, seal
from unlearn_audit.saved.running import run_audit, save_audit


def test_the_salt_stays_while_the_forget_set_does_and_another_set_has_another(report_folder, tmp_path) -> None:
    salt = read_manifest(report_folder).salt
    assert len(bytes.fromhex(salt)) == 32
    seal(report_folder)  # as after a report is rendered again
    assert read_manifest(report_folder).salt == salt
    request = request_in(tmp_path)
    found = run_audit(request, base=tmp_path)
    save_audit(found, request, report_folder, base=tmp_path)
    assert read_manifest(report_folder).salt == salt
    save_audit(found, request, tmp_path / "elsewhere", base=tmp_path)
    assert read_manifest(tmp_path / "elsewhere").salt != salt
    (tmp_path / "forget.txt").write_text((tmp_path / "forget.txt").read_text().split("\n", 1)[1])
    save_audit(run_audit(request, base=tmp_path), request, report_folder, base=tmp_path)
    assert read_manifest(report_folder).salt not in ("", salt)


def test_a_manifest_of_an_earlier_version_gets_a_salt_when_it_is_written_again(report_folder) -> None:
    path = report_folder / MANIFEST
    path.write_text(path.read_text().replace(read_manifest(report_folder).salt, ""))
    assert read_manifest(report_folder).salt == ""
    seal(report_folder)
    assert read_manifest(report_folder).salt


def test_the_published_hash_is_what_common_tools_compute(tmp_path) -> None:
    ids = ["train-10", "train-9", "café/1.png", "Zoe"]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    command = "(echo 5f0c; LC_ALL=C sort ids.txt) | sha256sum"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == commitment(ids, "5f0c")
    assert commitment(Forgotten.read(tmp_path / "ids.txt").ids[::-1], "5f0c") == commitment(ids, "5f0c")
    assert commitment(ids, "5f0d") != commitment(ids, "5f0c") != commitment(ids[1:], "5f0c")
