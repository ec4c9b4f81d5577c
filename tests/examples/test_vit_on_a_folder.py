"""The ViT on a folder of images: as a script, outside the checkout, and the same data as a study."""

from __future__ import annotations

import subprocess

import pytest
from transformers import AutoImageProcessor

from tests.examples.conftest import EXAMPLES
from unlearn_audit import AuditReport, load_model
from unlearn_audit.experiment import Study, read_study
from unlearn_audit.models import Preprocessing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(quick_commands):
    """Run an example in a folder, and return what it says."""

    def run(script, *arguments, folder):
        command = ["python", str(EXAMPLES / script), *arguments]
        done = subprocess.run(
            command, cwd=folder, env=quick_commands, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def folder(python, tmp_path_factory):
    """The example's images and its deletion request: all of the eights, and fewer of the others, which is quicker."""
    folder = tmp_path_factory.mktemp("vit")
    python("vit_on_a_folder_images.py", "digits-folder", folder=folder)
    for kind, others in (("train", 40), ("test", 10)):
        for digit in (folder / "digits-folder/images" / kind).iterdir():
            for path in sorted(digit.iterdir())[200 if digit.name == "8" else others :]:
                path.unlink()
    return folder


def test_it_forgets_the_files_of_the_request_and_keeps_the_models_own_normalisation(python, folder) -> None:
    request = ["digits-folder/images", "digits-folder/deletion-request.txt"]
    said = python("vit_on_a_folder.py", *request, "--epochs", "2", "--references", "3", folder=folder)
    assert "70 of them to be forgotten" in said and "random_labels: " in said
    out = folder / "runs" / "vit_on_a_folder"
    report = AuditReport.load(out / "report")
    assert {model.name for model in report.by_role("candidate")} == {"random_labels", "ltd_knn"}
    assert (out / "report" / "report.html").is_file()
    model = load_model(out / "random_labels")
    assert model.config.model_type == "vit"
    assert Preprocessing.of(model).mean == (0.3,) * 3
    assert list(AutoImageProcessor.from_pretrained(out / "ltd_knn").image_std) == [0.35] * 3

    again = ["--checkpoint", str(out / "original"), "--epochs", "1", "--references", "1", "--output", "again"]
    python("vit_on_a_folder.py", *request, *again, folder=folder)
    assert Preprocessing.of(load_model(folder / "again" / "original")).mean == (0.3,) * 3


def test_the_study_plans_the_same_forget_set(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    study = Study.plan(read_study(EXAMPLES / "vit_on_a_folder.yaml"), folder / "study")
    names = [stage.name for stage in study.stages]
    assert {"retrained-4", "random_labels", "ltd_knn", "report"} <= set(names)
    data = study.config.data.load()
    assert len(study.config.forget.choose(data.train)) == 70
