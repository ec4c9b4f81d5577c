"""The script run by bash against the loopback Hub: pushed by one, fetched, audited and verified by another."""

from __future__ import annotations

import pytest

from tests.examples.conftest import bash, copied
from tests.publishing.loopback import LoopbackHub
from tests.shortening import shortened
from unlearn_audit import AuditReport

REPOSITORY = "tester/forgetful-digits"


@pytest.mark.slow
def test_it_pushes_fetches_audits_and_verifies(quick_commands, tmp_path) -> None:
    with LoopbackHub.of(quick_commands) as hub:
        script = copied("audit_a_pushed_model.sh", tmp_path)
        script.write_text(shortened(script.read_text()))
        done = bash(f"bash {script.name} {REPOSITORY}", tmp_path, quick_commands)
        assert done.returncode == 0
        assert hub.unhandled == []
        published = hub.repositories["models", REPOSITORY].head().files
    assert {"model.safetensors", "README.md", "audit/report.json"} <= published.keys()
    assert done.stdout.count("figures agree") == 2
    ann, bob = (AuditReport.load(tmp_path / name / "report") for name in ("ann", "bob"))
    assert {model.name for model in bob.by_role("reference")} == {f"retrained-{seed}" for seed in (101, 102, 103)}
    assert bob.model("unlearned").weights_hash == ann.model("unlearned").weights_hash
    forgotten = (tmp_path / "ann/unlearned/forget.json").read_text()
    assert (tmp_path / "bob/forget.json").read_text() == forgotten
