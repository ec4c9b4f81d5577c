"""From an original that exists, a folder of images, a request and a training script to a pushed card: one command."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.examples.conftest import copied
from tests.publishing.loopback import LoopbackHub
from unlearn_audit import AuditReport, load_model
from unlearn_audit.reporting.sections.cost import retraining_cost
from unlearn_audit.reporting.sections.elsewhere import elsewhere_sentences

pytestmark = pytest.mark.slow
REPO = "tester/forgetful"
SCRIPTS = ("existing_original_base.py", "existing_original_train.py", "vit_on_a_folder_images.py")


@pytest.fixture
def run(quick_commands, tmp_path):
    """Run a command in the folder of the example, and return what it says."""

    def run(*arguments):
        done = subprocess.run(
            arguments, cwd=tmp_path, env=quick_commands, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    for script in SCRIPTS:
        copied(script, tmp_path)
    with LoopbackHub.of(quick_commands) as run.hub:
        yield run
        assert run.hub.unhandled == []


def test_one_command_and_one_file_lead_from_an_original_to_a_pushed_card(run, tmp_path) -> None:
    run("python", "vit_on_a_folder_images.py", ".")
    for kind, others in (("train", 20), ("test", 6)):
        for digit in (tmp_path / "images" / kind).iterdir():
            for path in sorted(digit.iterdir())[200 if digit.name == "8" else others :]:
                path.unlink()
    run("python", "existing_original_base.py", "base")
    run("python", "existing_original_train.py", "--output", "original", "--epochs", "2")
    text = copied("existing_original.yaml", tmp_path).read_text()
    text = (
        text.replace("--seed", "--epochs 2 --seed").replace("references: 4", "references: 3").replace("# push", "push")
    )
    (tmp_path / "study.yaml").write_text(text.replace("you/forgetful", f"{REPO}, allow_failing: true"))

    said = run("unlearn-audit", "run", "study.yaml")
    assert f"Pushed to {run.hub.url}/{REPO}" in said.replace("\n", "")
    assert {"README.md", "model.safetensors", "preprocessor_config.json"} <= run.hub.repositories[
        "models", REPO
    ].head().files.keys()
    assert "before" in run("unlearn-audit", "run", "study.yaml").splitlines()[-1]

    report = AuditReport.load(tmp_path / "runs/study/report")
    assert report.forget_set.size == 70 and report.num_references == 3
    assert report.model("original").seconds > 0
    assert "of what training the original took" in retraining_cost(report)
    sentences = " ".join(elsewhere_sentences(report))
    assert (
        "How it was trained is not known here" in sentences
        and "the retained training examples it is right" in sentences
    )
    page = (tmp_path / "runs/study/report/report.html").read_text()
    assert "How it was trained is not known here" in page and "of what training the original took" in page
    assert load_model(tmp_path / "original", processor=tmp_path / "base").config.model_type == "vit"
    (tmp_path / "forgotten").write_text(
        (next((tmp_path / "runs/study/stages").glob("command-*")) / "forget.txt").read_text()
    )
    listed = {line.rpartition("/")[2] for line in (tmp_path / "forgotten").read_text().split()}
    assert listed == set((tmp_path / "deletion-request.txt").read_text().split())
    shutil.rmtree(tmp_path / "runs")
