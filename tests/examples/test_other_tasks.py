"""Text classification and multi-label, from training to an audit: each example as a script."""

from __future__ import annotations

import subprocess

import pytest

from tests.examples.conftest import EXAMPLES
from unlearn_audit import AuditReport

pytestmark = pytest.mark.slow


@pytest.fixture
def python(quick_commands, tmp_path):
    """Run an example in a folder, and return what it says."""

    def run(script, *arguments):
        command = ["python", str(EXAMPLES / script), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=quick_commands, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_text_classifier_is_audited(python, tmp_path) -> None:
    assert "11 forgotten" in python("text_classification.py", "out", "8")
    report = AuditReport.load(tmp_path / "out" / "report")
    assert report.forget_set.size == 11 and report.num_references == 4
    assert report.verdicts["untouched"].outcome != "pass"


def test_each_output_of_a_multi_label_model_is_audited(python) -> None:
    said = python("multi_label.py").splitlines()
    assert [line.partition(":")[0] for line in said] == ["even", "has a loop", "above four"]
    assert all("73 forget" in line for line in said)
