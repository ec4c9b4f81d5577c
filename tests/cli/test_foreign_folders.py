"""Commands that write refuse what is not theirs before they compute anything, and leave it as it was."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.data import load_images
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.models import save_model
from unlearn_audit.predictions import Predictions

STUDY = "data: {source: digits}\nforget: {label: 8}\nmodel: {name: resnet8}\nmethods: {finetune: }\n"
FILES = {"README.md": "mine", "checkpoints/notes.txt": "mine", "comparison.html": "<p>mine", "p.parquet": "mine"}
AUDIT = ["audit", "--candidate", "c.parquet", "--reference", "r.parquet", "--forget", "f.txt", "--output"]
COMMANDS = {
    "train": ["train", "--data", "digits", "--output", "."],
    "unlearn": [
        "unlearn",
        "../model",
        "--data",
        "digits",
        "--method",
        "finetune",
        "--forget-class",
        "8",
        "--output",
        ".",
    ],
    "unlearn in place": [
        "unlearn",
        ".",
        "--data",
        "digits",
        "--method",
        "finetune",
        "--forget-class",
        "8",
        "--output",
        ".",
    ],
    "predict": ["predict", "../model", "--data", "digits", "--output", "p.parquet"],
    "predict to a folder": ["predict", "../model", "--data", "digits", "--output", "checkpoints"],
    "audit": [*AUDIT, "."],
    "run": ["run", "../study.yaml", "--output", "."],
    "run of one stage": ["run", "../study.yaml", "--output", ".", "--stage", "untrained"],
    "demo": ["demo", "--output", "."],
    "calibrate": ["calibrate", "digits", "--output", "README.md"],
    "calibrate --build": ["calibrate", "digits", "--build", "."],
    "report of several": ["report", "a", "b"],
}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def content(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def theirs(tmp_path, monkeypatch) -> Path:
    """A person's folder, in which they work."""
    save_model(tiny_resnet(tiny_images(16)), tmp_path / "model")
    (tmp_path / "study.yaml").write_text(STUDY)
    folder = tmp_path / "theirs"
    (folder / "checkpoints").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_what_somebody_else_wrote_is_refused_and_stays(command, theirs) -> None:
    before = content(theirs)
    shown = invoke(*COMMANDS[command])
    assert isinstance(shown.exception, ConfigurationError), shown.output
    assert "Give another" in str(shown.exception) or "another folder" in str(shown.exception)
    assert content(theirs) == before


def test_an_original_model_is_not_replaced_by_its_unlearned_one(tmp_path) -> None:
    fast = ["--set", "epochs=1", "--set", "batch_size=512", "--set", "precision=float32"]
    assert invoke("train", "--data", "digits", "-o", tmp_path / "m", "--model", "resnet8", *fast).exit_code == 0
    weights = (tmp_path / "m" / "model.safetensors").read_bytes()
    shown = invoke(
        "unlearn",
        tmp_path / "m",
        "--data",
        "digits",
        "-o",
        tmp_path / "m",
        "--method",
        "finetune",
        "--forget-class",
        "8",
    )
    assert "Expected another folder than the original model's" in str(shown.exception)
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == weights


def test_an_audit_takes_file_names_where_it_knows_the_data(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UNLEARN_AUDIT_CACHE", str(tmp_path / "decoded"))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, name in itertools.product(("train", "test"), "ab"):
        Path("pets", split, name).mkdir(parents=True)
        for row in range(12):
            pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path("pets", split, name, f"{name}{row}.png"))
    data = load_images("pets")
    ids, labels = (np.concatenate([getattr(part, it) for part in (data.train, data.test)]) for it in ("ids", "labels"))
    splits = np.repeat(["train", "test"], 24)
    for seed in range(4):
        logits = np.random.default_rng(seed).normal(size=(48, 2)).astype(np.float32)
        Predictions(ids, splits, labels, logits, embeddings=logits).save(f"{seed}.parquet")
    Path("request.csv").write_text("customer_id,filename\n7,a3.png\n7,a4.png\n")
    line = ["audit", "--candidate", "c=0.parquet", "--original", "0.parquet", "--forget", "request.csv"]
    line += [part for seed in (1, 2, 3) for part in ("--reference", f"{seed}.parquet")]
    line += ["--set", "measures=[js]", "--set", "neighbourhood.number=2"]
    assert "File names are known with --data alone" in str(invoke(*line).exception)
    shown = invoke(*line, "--data", "pets")
    assert shown.exit_code == 0, shown.output
    names = data.train.columns["file_name"].tolist()
    wanted = {data.train.ids[names.index(f"train/a/{name}.png")] for name in ("a3", "a4")}
    assert set(json.loads(Path("report/inputs/forget.json").read_text())["ids"]) == wanted


def test_predictions_may_be_made_again_but_a_pool_is_no_such_file(tmp_path) -> None:
    from importlib.resources import files

    from unlearn_audit.models import create_model

    save_model(create_model("resnet8", load_images("digits").train, seed=0), tmp_path / "model")
    path, pool = tmp_path / "p.parquet", tmp_path / "digits.parquet"
    for _ in range(2):
        assert invoke("predict", tmp_path / "model", "--data", "digits", "-o", path).exit_code == 0
    pool.write_bytes((files("unlearn_audit.calibration.pools") / "digits.parquet").read_bytes())
    shown = invoke("predict", tmp_path / "model", "--data", "digits", "-o", pool)
    assert "something that unlearn-audit did not write" in str(shown.exception)


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", "NUL", "a\nb"])
@pytest.mark.parametrize("role", ["--candidate", "--reference"])
def test_an_audit_refuses_names_that_lead_elsewhere(name, role, tmp_path) -> None:
    others = ["--candidate", "c.parquet", "--reference", "r.parquet", "--forget", "f.txt"]
    shown = invoke("audit", *others, role, f"{name}=x.parquet", "--output", tmp_path / "deep" / "report")
    assert isinstance(shown.exception, ConfigurationError) and "Expected the name of a model" in str(shown.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_audit_refuses_the_name_of_a_model_on_the_hub_before_it_is_fetched(tmp_path) -> None:
    line = ["audit", "--candidate", "hub:user/..", "--reference", "r.parquet", "--forget", "f.txt"]
    shown = invoke(*line, "--output", tmp_path / "report")
    assert "Expected the name of a model" in str(shown.exception)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("name: ../../x\n", "name: Expected the name of the study"),
        ("name: con\n", "name: Expected the name of the study"),
    ],
)
def test_a_study_refuses_a_name_that_leads_elsewhere(change, message, theirs) -> None:
    config = theirs.parent / "study.yaml"
    config.write_text(change + STUDY)
    shown = invoke("run", config)
    assert isinstance(shown.exception, ConfigurationError) and message in str(shown.exception)


@pytest.mark.parametrize("label", ["../../x", "nul", "aux.txt"])
def test_a_study_refuses_a_method_whose_name_leads_elsewhere(label, theirs) -> None:
    config = theirs.parent / "study.yaml"
    config.write_text(STUDY.replace("finetune: ", f"{label}: {{method: finetune}}"))
    shown = invoke("run", config)
    assert isinstance(shown.exception, ConfigurationError) and "under methods" in str(shown.exception)
    assert repr(label) in str(shown.exception)
