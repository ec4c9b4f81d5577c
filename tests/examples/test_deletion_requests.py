"""Five requests on digits: the ledger's own commands, on models that drift."""

from __future__ import annotations

import json

import pytest

from tests.examples.conftest import bash, copied
from unlearn_audit.saved.deletions import check_private, read_ledger


@pytest.mark.slow
def test_five_requests_are_entered_audited_and_asked_again(quick_commands, tmp_path) -> None:
    folder = copied("deletion_requests", tmp_path)
    done = bash("python models.py && bash follow.sh", folder, quick_commands)
    assert done.returncode == 0, done.stderr
    ledger = read_ledger(folder / "deletions")
    sizes = [len((folder / str(n) / "request.txt").read_text().split()) for n in range(1, 6)]
    assert [request.size for request in ledger.requests] == sizes and check_private(ledger) == 5
    assert [[again.request for again in audit.again] for audit in ledger.audits] == [
        list(range(1, n + 1)) for n in range(1, 6)
    ]
    first, *_, last = ledger.audits
    assert first.outcome == "pass"
    assert last.drift["neighbours"].pattern > first.drift["neighbours"].pattern + 0.005
    assert sum(audit.level for audit in ledger.audits) == pytest.approx(ledger.opened.alpha / 2)
    for n, audit in enumerate(ledger.audits, start=1):
        report = json.loads((folder / str(n) / "report" / "report.json").read_text())
        assert report["policy"]["alpha"] == pytest.approx(audit.level / 2)
        assert report["forget_set"]["size"] == sum(sizes[:n])
    assert f"Head: {ledger.head}" in done.stdout
