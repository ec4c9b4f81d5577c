"""The whole way on the command line: push, load back with stock classes, audit what was pushed, verify it."""

import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.publishing.loopback import LoopbackHub
from unlearn_audit.saved.manifest import read_manifest

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


STUDY = """\
name: tiny
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
training: {epochs: 10, batch_size: 64, precision: float32}
references: 3
threads: 1
methods:
  gradient_ascent:
    training: {epochs: 1, learning_rate: 3e-2, precision: float32}
neighbourhood: {number: 3}
measures: [js]
"""


@pytest.fixture
def run(quick_commands):
    environment = {**quick_commands, "PYTHONPATH": str(Path(__file__).parents[2])}
    with LoopbackHub.of(quick_commands) as hub:

        def run(*arguments, code=0, cwd=None):
            command = [str(argument) for argument in arguments]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
            )
            assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
            return done.stdout if code == 0 else done.stderr

        run.hub, run.cache = hub, Path(quick_commands["HF_HOME"]) / "hub"
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

    assert "audit: audited by its owner" in run("unlearn-audit", "verify", f"hub:{REPO}")


def same_figures(folder, other):
    from unlearn_audit.auditing.report import AuditReport

    mine, theirs = (AuditReport.load(f).comparison("candidate", "retain", "js") for f in (folder, other))
    return [s.discrepancy for s in mine.strata] == pytest.approx([s.discrepancy for s in theirs.strata], rel=1e-4)


@pytest.mark.slow
def test_a_study_s_own_report_is_pushed_and_its_publisher_proves_the_forget_set(run, tmp_path):
    """`runs/NAME/report` is a link, and so may be the files of the model."""
    (tmp_path / "tiny.yaml").write_text(STUDY)
    run("unlearn-audit", "run", "tiny.yaml", cwd=tmp_path)
    report = tmp_path / "runs" / "tiny" / "report"
    assert report.is_symlink()
    push = ("unlearn-audit", "push", "runs/tiny/report", "--repo-id", REPO, "--allow-failing")
    assert "model.safetensors" in run(*push, "--dry-run", cwd=tmp_path)
    assert "user/name" in run(*push[:3], "--repo-id", "no name", "--dry-run", "--allow-failing", code=1, cwd=tmp_path)
    pushed = run(*push, cwd=tmp_path)
    assert "salt" in pushed and REPO in pushed
    assert "Kept here: all figures. The draw that fits the published figures" in pushed  # half of class 8, seed 0
    assert "audit/answers.json" in pushed and "audit/report.json" not in pushed

    checked = run("unlearn-audit", "verify", f"hub:{REPO}")
    assert "agree" in checked
    salt, forget = read_manifest(report).salt, read_manifest(report).request.forget
    claim = ("unlearn-audit", "verify", f"hub:{REPO}", "--forget", report.resolve() / forget, "--salt")
    assert "The audit was of the forget set in forget.json." in run(*claim, salt)
    assert "another forget set" in " ".join(run(*claim, "0" * 64, code=1).split())
    assert "--salt together" in " ".join(run(*claim[:-1], code=2).split())

    repository = run.hub.repositories["models", REPO]
    repository.head().files["README.md"] += b"Best of all models.\n"
    shutil.rmtree(run.cache)
    assert "README.md has the hash" in " ".join(run("unlearn-audit", "verify", f"hub:{REPO}", code=1).split())

    path = report / "report.json"
    path.write_text(path.read_text().replace('"test_accuracy": 0.', '"test_accuracy": 0.1'))
    refused = run(*push, "--force", code=1, cwd=tmp_path)
    assert "this one was changed" in " ".join(refused.split()) and "Traceback" not in refused
