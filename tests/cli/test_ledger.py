"""`unlearn-audit ledger`, and audits at its level."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.saved.spending import level

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "machines.md").read_text(encoding="utf-8")


def ask(*arguments: object) -> dict:
    found = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    document = json.loads(found.stdout)
    assert all(f"`{key}`" in DOCUMENTED for key in document["result"])
    return document


def test_a_request_is_entered_audited_and_told(report_folder, tmp_path) -> None:
    ledger = tmp_path / "deletions"
    opened = ask("ledger", ledger, "--model", "made-up", "--alpha", 0.04, "--expected", 2)["result"]
    asked = ask("ledger", ledger, "--request", tmp_path / "forget.txt", "--head", opened["head"])["result"]
    assert asked["unaudited"] == 1 and asked["next"]["alpha"] == pytest.approx(level(0.04, 2, 1) / 2)
    references = [f"--reference={path}" for path in sorted(tmp_path.glob("retrained-*.parquet"))]
    audit = ["audit", f"--ledger={ledger}", f"--candidate={tmp_path / 'damaged.parquet'}", *references]
    audit += ["--set=measures=[js]", f"--original={tmp_path / 'original.parquet'}"]
    wrong = ask(*audit, f"--forget={tmp_path / 'damaged.parquet'}", f"--output={tmp_path / 'wrong'}")
    assert wrong["exit_code"] == 1 and "requests so far" in wrong["error"]["message"]
    done = ask(*audit, f"--forget={asked['next']['forget']}", f"--output={tmp_path / 'new'}")
    assert done["exit_code"] == 0
    assert AuditReport.load(tmp_path / "new").policy.alpha == pytest.approx(asked["next"]["alpha"])
    told = CliRunner().invoke(app, ["ledger", str(ledger), "--head", asked["head"]])
    assert told.exit_code == 0
    for words in ("Audit 1 of requests 1 to 1, K = 4", "fail; forgotten no", "forgotten by request: 1 no", "Head: "):
        assert words in told.output
    again = ask("ledger", ledger, "--audit", tmp_path / "new")
    assert again["exit_code"] == 1 and "does not have" in again["error"]["message"]


def test_what_is_wrong_is_said(tmp_path) -> None:
    assert ask("ledger", tmp_path / "none")["exit_code"] == 1
    assert ask("ledger", tmp_path / "none", "--alpha", 0.1)["exit_code"] == 2
    assert ask("ledger", tmp_path / "new", "--model", "m", "--alpha", 2)["exit_code"] == 2
    assert ask("ledger", tmp_path / "new", "--model", "m")["exit_code"] == 0
    assert ask("ledger", tmp_path / "new", "--head", "0" * 64)["exit_code"] == 1
    (tmp_path / "empty.txt").write_text("")
    assert ask("ledger", tmp_path / "new", "--request", tmp_path / "empty.txt")["exit_code"] == 1
    assert ask("ledger", tmp_path / "new")["result"]["requests"] == []
