"""The whole way on the command line: push, load back with stock classes, audit what was pushed, verify it."""

import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.publishing.loopback import LoopbackHub

REPO = "tester/forgetful"
# As the card tells people to load it, with none of this package's own loading; then its predictions are saved.
LOAD_BACK = """
    import sys
    import unlearn_audit.models.cifar_resnet
    from transformers import AutoImageProcessor, AutoModelForImageClassification
    from tests.reporting.samples import make_images
    from unlearn_audit import predict

    model = AutoModelForImageClassification.from_pretrained(sys.argv[1])
    AutoImageProcessor.from_pretrained(sys.argv[1])
    predict(model, make_images(), model_id=sys.argv[1]).save(sys.argv[2])
"""


@pytest.fixture
def run(quick_commands):
    environment = {**quick_commands, "PYTHONPATH": str(Path(__file__).parents[2])}
    with LoopbackHub.of(quick_commands) as hub:

        def run(*arguments):
            command = [str(argument) for argument in arguments]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            return done.stdout

        yield run
        assert hub.unhandled == []


@pytest.mark.slow
def test_push_load_back_audit_and_verify(run, audited, tmp_path):
    base = audited.folder.parent
    dry = run("unlearn-audit", "push", audited.folder, "--repo-id", REPO, "--model", audited.model_folder, "--dry-run")
    assert "model.safetensors" in dry
    pushed = run("unlearn-audit", "push", audited.folder, "--repo-id", REPO, "--model", audited.model_folder)
    assert REPO in pushed

    (tmp_path / "load_back.py").write_text(textwrap.dedent(LOAD_BACK))
    run("python", tmp_path / "load_back.py", REPO, tmp_path / "pushed.parquet")
    references = [f"--reference=retrained-{k}={base / f'retrained-{k}.parquet'}" for k in (1, 2, 3)]
    folder = tmp_path / "again"
    run(
        "unlearn-audit",
        "audit",
        f"--candidate=candidate={tmp_path / 'pushed.parquet'}",
        *references,
        f"--original={base / 'original.parquet'}",
        f"--forget={base / 'forget.json'}",
        f"--output={folder}",
        "--set=neighbourhood.number=3",
    )
    assert same_figures(folder, audited.folder)

    assert "agree" in run("unlearn-audit", "verify", f"hub:{REPO}")


def same_figures(folder, other):
    from unlearn_audit.auditing.report import AuditReport

    mine, theirs = (AuditReport.load(f).comparison("candidate", "retain", "js") for f in (folder, other))
    return [s.discrepancy for s in mine.strata] == pytest.approx([s.discrepancy for s in theirs.strata], rel=1e-4)
