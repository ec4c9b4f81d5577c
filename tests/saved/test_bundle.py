"""Reports that take everything along that they were made from."""

from __future__ import annotations

import shutil

from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit import audit, verify
from unlearn_audit.saved.manifest import read_manifest

REFERENCES = [f"retrained-{seed}.parquet" for seed in range(3)]


def alone(folder, tmp_path):
    """Move a report away from its inputs, which are deleted."""
    away = tmp_path.parent / f"{tmp_path.name}-away"
    shutil.move(folder, away / "report")
    shutil.rmtree(tmp_path)
    return away / "report"


def lies_inside(folder) -> bool:
    files = read_manifest(folder).request.files().values()
    return all(not path.startswith((".", "/")) and (folder / path).is_file() for path in files)


def test_a_bundled_audit_is_verified_elsewhere(report_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    shutil.move("retrained-1.parquet", "deep/retrained-0.parquet")  # two files of one name
    line = (
        "audit --candidate honest.parquet --original original.parquet --embeddings original.parquet --forget forget.txt"
    )
    line += " --reference a=retrained-0.parquet --reference b=deep/retrained-0.parquet --reference retrained-2.parquet"
    shown = CliRunner().invoke(app, [*line.split(), "--output", "moved", "--bundle", "--set", "measures=[js]"])
    assert shown.exit_code == 0, shown.output
    files = sorted(path.name for path in (tmp_path / "moved" / "inputs").iterdir())
    assert files == [
        *("forget.txt", "honest.parquet", "original.parquet"),
        *("retrained-0-2.parquet", "retrained-0.parquet", "retrained-2.parquet"),
    ]
    monkeypatch.undo()
    moved = alone(tmp_path / "moved", tmp_path)
    assert lies_inside(moved) and not verify(moved).differences


def test_a_finished_report_is_bundled(report_folder, tmp_path) -> None:
    before = read_manifest(report_folder)
    for _ in range(2):  # the second finds all there
        assert CliRunner().invoke(app, ["report", str(report_folder), "--bundle", "--format", "md"]).exit_code == 0
    after = read_manifest(report_folder)
    assert after.inputs == before.inputs and after.salt == before.salt
    moved = alone(report_folder, tmp_path)
    assert lies_inside(moved) and not verify(moved).differences


def test_an_audit_in_python_takes_its_files_along(report_folder, tmp_path) -> None:
    files = [tmp_path / name for name in REFERENCES]
    given = {"forget": tmp_path / "forget.txt", "embeddings": tmp_path / "original.parquet", "measures": ["js"]}
    found = audit(tmp_path / "honest.parquet", files, **given)
    moved = alone(found.save(tmp_path / "mine", with_inputs=True), tmp_path)
    assert lies_inside(moved) and not verify(moved).differences
