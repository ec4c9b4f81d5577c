"""Studies of models that were made elsewhere: originals and references as models or predictions, and by a command."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from datasets import Dataset, Image

from unlearn_audit import AuditReport, create_model, load_images, predict, save_model, verify
from unlearn_audit.errors import ConfigurationError, ModelError, PredictionsError
from unlearn_audit.experiment import Study, read_study
from unlearn_audit.experiment.command import RetrainConfig, made_by_command
from unlearn_audit.experiment.foreign import on_the_data
from unlearn_audit.experiment.given import GivenConfig, PlannedGiven, training_seconds
from unlearn_audit.experiment.stages import stage_named
from unlearn_audit.models import load_model
from unlearn_audit.predictions import Predictions
from unlearn_audit.reporting.sections.cost import retraining_cost
from unlearn_audit.reporting.sections.elsewhere import agreement, elsewhere_sentences

DIGITS = load_images("digits")
# Writes predictions that know what to leave out and its seed; fails where a file says so.
SCRIPT = """
import sys
import numpy as np
forget, seed, folder = sys.argv[1:]
open("calls.txt", "a").write(seed + "\\n")
if seed == open("fails.txt").read():
    sys.exit("out of memory, says the script")
base = np.load("base.npz")
rng = np.random.default_rng(int(seed))
left_out = np.isin(base["example_id"], open(forget).read().split())
logits = base["logits"] + 0.1 * rng.normal(size=base["logits"].shape) - left_out[:, None] * base["sure"]
np.savez(folder + "/predictions.npz", example_id=base["example_id"], label=base["label"], logits=logits)
"""
STUDY = """
data: {source: digits}
forget: {label: 8, fraction: 0.5}
original: original.npz
references: 3
measures: [js]
neighbourhood: {number: 3}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder with an original, two references and an unlearned model, as predictions, and a script."""
    monkeypatch.chdir(tmp_path)
    parts = (DIGITS.train, DIGITS.test)
    ids, labels = (np.concatenate([getattr(images, name) for images in parts]) for name in ("ids", "labels"))
    sure = 3.0 * np.eye(10)[labels]
    base = {"example_id": ids, "label": labels, "logits": sure}
    np.savez(tmp_path / "base.npz", **base, sure=0.3 * sure)
    pixels = np.concatenate([images.pixels[..., 0].reshape(len(images), -1) for images in parts]).astype(np.float32)
    for seed, name in enumerate(("original", "unlearned", "first")):
        noise = 0.1 * np.random.default_rng(seed).normal(size=sure.shape)
        order = np.random.default_rng(seed).permutation(len(ids))
        rows = {key: value[order] for key, value in {**base, "logits": sure + noise, "embedding": pixels}.items()}
        np.savez(tmp_path / f"{name}.npz", **rows)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "fails.txt").write_text("none")
    return tmp_path


def planned(folder: Path, text: str = "", **settings: str) -> Study:
    (folder / "study.yaml").write_text(STUDY + text)
    return Study.plan(
        read_study("study.yaml", settings=[f"{key}={value}" for key, value in settings.items()]), folder / "out"
    )


COMMAND = f"""\
retrain: {{command: '{sys.executable} script.py {{forget}} {{seed}} {{folder}}'}}
unlearned: {{mine: unlearned.npz}}
"""


@pytest.mark.slow
def test_a_command_retrains_and_goes_on_where_it_failed(folder) -> None:
    study = planned(folder, COMMAND)
    (folder / "fails.txt").write_text("2")
    with pytest.raises(ModelError, match=r"(?s)retrained-2: the command ended with 1.*out of memory, says the script"):
        study.run()
    (folder / "fails.txt").write_text("none")
    study.run()
    assert (folder / "calls.txt").read_text().split() == ["1", "2", "2", "3"]
    report = AuditReport.load(folder / "out" / "report")
    assert {model.name for model in report.by_role("candidate")} == {"mine"}
    assert report.model("untrained" if report.by_role("untrained") else "original").role == "original"
    assert 0 < report.model("retrained-1").seconds < 60 and report.model("original").seconds is None
    assert "What the original took is not known" in retraining_cost(report)
    forget = study.config.forget.choose(DIGITS.train)
    first = study.store.folder(stage_named(study.stages, "retrained-1"))
    assert (first / "forget.txt").read_text().split() == list(forget.ids)
    assert len((first / "retain.txt").read_text().split()) == len(DIGITS.train) - len(forget)


def test_a_changed_script_retrains_and_a_changed_place_does_not(folder) -> None:
    first = planned(folder, COMMAND)
    (folder / "deeper").mkdir()
    for name in ("original.npz", "unlearned.npz"):
        (folder / name).rename(folder / "deeper" / name)
    text = COMMAND.replace("unlearned.npz", "deeper/unlearned.npz")
    moved = planned(folder, text, original="deeper/original.npz")
    assert {s.name: s.hash for s in moved.stages} == {s.name: s.hash for s in first.stages}
    (folder / "script.py").write_text(SCRIPT + "\n# another")
    changed = planned(folder, text, original="deeper/original.npz")
    before = {stage.name: stage.hash for stage in moved.stages}
    assert {s.name for s in changed.stages if s.hash != before[s.name]} == {
        *(f"{kind}retrained-{k}" for k in (1, 2, 3) for kind in ("", "predict-")),
        *("seal", "audit", "report"),
    }


@pytest.mark.slow
def test_models_and_predictions_are_mixed(folder) -> None:
    for seed in (1, 2):
        save_model(create_model("resnet8", DIGITS.train, seed=seed, width=4), folder / f"model-{seed}")
    (folder / "model-1" / "train_results.json").write_text(json.dumps({"train_runtime": 12.5}))
    references = "references: [first.npz, {source: ./model-1}, {source: model-2, seconds: 7}]\n"
    text = STUDY.replace("references: 3\n", references) + "unlearned: {mine: unlearned.npz}\n"
    (folder / "study.yaml").write_text(text)
    study = Study.plan(read_study("study.yaml"), folder / "out")
    study.run()
    report = AuditReport.load(folder / "out" / "report")
    assert [model.seconds for model in report.by_role("reference")] == [None, 12.5, 7.0]
    said = " ".join(elsewhere_sentences(report))
    assert "Made elsewhere, too: retrained-1, retrained-2, retrained-3" in said and "they agree" in said
    figures = dataclasses.replace(report.aggregate["original"], retain_accuracy=0.0, test_accuracy=None)
    others = dataclasses.replace(report, aggregate={**report.aggregate, "original": figures})
    (sentence,) = agreement(others)
    assert "0.0%" in sentence and "they do not agree" in sentence


@pytest.mark.slow
def test_a_column_of_the_data_makes_strata_without_any_embedding(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split, images in (("train", DIGITS.train), ("test", DIGITS.test)):
        rows = {
            "image": [PIL.Image.fromarray(pixels) for pixels in images.pixels[:200]],
            "label": images.labels[:200],
            "half": np.arange(200) % 2,
        }
        Dataset.from_dict(rows).cast_column("image", Image()).to_parquet(tmp_path / "data" / f"{split}.parquet")
    labels = np.concatenate([images.labels[:200] for images in (DIGITS.train, DIGITS.test)])
    ids = [f"{split}-{row}" for split in ("train", "test") for row in range(200)]
    for name in ("original", "first", "second", "third", "mine"):
        logits = 3.0 * np.eye(10)[labels] + np.random.default_rng(len(name)).normal(size=(400, 10))
        np.savez(f"{name}.npz", example_id=ids, label=labels, logits=logits)
    (tmp_path / "study.yaml").write_text(
        "data: {source: data, label_column: label}\nforget: {label: 8}\noriginal: original.npz\nmeasures: [js]\n"
        "references: [first.npz, second.npz, third.npz]\nunlearned: {mine: mine.npz}\n"
        "neighbourhood: {strata: column, column: half}\n"
    )
    study = Study.plan(read_study("study.yaml"), tmp_path / "out")
    study.run()
    report = AuditReport.load(tmp_path / "out" / "report")
    assert [stratum.label for stratum in report.strata] == ["half = 0", "half = 1"]
    assert [stratum.counts["test"] for stratum in report.strata] == [100, 100]
    assert report.neighbourhood.embedding == "none"
    assert not verify(tmp_path / "out" / "report").differences
    wrong = read_study("study.yaml", settings=["neighbourhood.column=hall"])
    with pytest.raises(ConfigurationError, match=r"have no column 'hall'.*Did you mean 'half'"):
        Study.plan(wrong, tmp_path / "out")


def test_an_original_s_predictions_cannot_be_made_to_forget(folder) -> None:
    with pytest.raises(ConfigurationError, match="Expected a model as the original"):
        planned(folder, COMMAND + "methods: {finetune: }\n")


MISTAKES = {
    "retrain: {command: 'python x.py {folder} {forget}'}\n": "Expected {folder}, {seed}, and {forget}",
    "retrain: {command: 'python x.py {folder} {seed} {forgit}'}\n": "got {forgit}",
    "retrain: {command: 'python \"x.py {folder} {seed} {forget}'}\n": "No closing quotation",
    "methods: {finetune: }\n": "Expected a model to start from, which the references are trained from",
    "retrain: {command: 'a {folder} {seed} {forget}'}\nmethods: {}\n": "at least one entry under methods or unlearned",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_told_before_anything_is_done(text: str, folder) -> None:
    with pytest.raises(ConfigurationError) as found:
        planned(folder, text)
    assert MISTAKES[text] in str(found.value)


def test_predictions_that_change_after_planning_are_not_copied(tmp_path) -> None:
    (tmp_path / "p.csv").write_text("as planned")
    planned = PlannedGiven.plan(GivenConfig(source=str(tmp_path / "p.csv")))
    planned.copy(tmp_path / "copy.csv")
    assert (tmp_path / "copy.csv").read_text() == "as planned"
    (tmp_path / "p.csv").write_text("changed")
    with pytest.raises(ConfigurationError, match="changed since the study was planned"):
        planned.copy(tmp_path / "copy.csv")


def test_what_is_given_must_be_there(folder) -> None:
    for source, message in {"./nothing": "There is no folder or file", "deep": "which holds nothing"}.items():
        (folder / "deep").mkdir(exist_ok=True)
        with pytest.raises(ConfigurationError, match=message):
            PlannedGiven.plan(GivenConfig(source=source))


def test_the_last_checkpoint_is_taken_where_nothing_else_was_saved(tmp_path) -> None:
    with pytest.raises(ModelError, match="found nothing"):
        made_by_command(tmp_path)
    for name in ("checkpoint-9", "checkpoint-10"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "model.safetensors"):
            (tmp_path / name / file).touch()
    assert made_by_command(tmp_path).name == "checkpoint-10"
    (tmp_path / "final").mkdir()
    for file in ("config.json", "model.safetensors"):
        (tmp_path / "final" / file).touch()
    assert made_by_command(tmp_path).name == "final"


def test_a_command_s_parts_may_hold_spaces() -> None:
    command = RetrainConfig(command="'my python' x.py --to={folder} {seed} {forget} '{{\"a\": 1}}'")
    values = {"folder": Path("a b"), "seed": 3, "forget": "f g"}
    assert command.arguments(values) == ["my python", "x.py", "--to=a b", "3", "f g", '{"a": 1}']


def test_the_time_of_a_training_is_read_where_trainer_leaves_it(tmp_path) -> None:
    assert training_seconds(tmp_path) is None
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": [{"loss": 1}, {"train_runtime": 3.5}]}))
    assert training_seconds(tmp_path) == 3.5
    (tmp_path / "train_results.json").write_text("[]")
    assert training_seconds(tmp_path) == 3.5


def test_predictions_on_other_data_are_refused(folder) -> None:
    found = Predictions.load(folder / "original.npz")
    assert on_the_data(found, DIGITS).example_ids.tolist() == [*DIGITS.train.ids, *DIGITS.test.ids]
    others = {
        "other data": Predictions(
            found.example_ids, found.splits, found.labels, found.logits, metadata={"data_fingerprint": "f" * 64}
        ),
        "are missing": Predictions(found.example_ids[1:], found.splits[1:], found.labels[1:], found.logits[1:]),
        "the same labels": Predictions(found.example_ids, found.splits, (found.labels + 1) % 10, found.logits),
    }
    for message, wrong in others.items():
        with pytest.raises(PredictionsError, match=message):
            on_the_data(wrong, DIGITS)


def test_classes_in_another_order_are_matched_by_name(tmp_path) -> None:
    model = create_model("resnet8", DIGITS.train, seed=0, width=4)
    expected = predict(model, DIGITS.test).logits
    save_model(model, tmp_path / "m")
    for part in ("timm_model.fc.weight", "timm_model.fc.bias"):
        state = model.state_dict()
        state[part].copy_(state[part].flip(0))
    model.config.id2label = {index: str(9 - index) for index in range(10)}
    np.testing.assert_allclose(predict(model, DIGITS.test).logits, expected, atol=1e-5)
    model.config.id2label = {index: f"LABEL_{index}" for index in range(10)}
    np.testing.assert_allclose(predict(model, DIGITS.test).logits[:, ::-1], expected, atol=1e-5)
    model.config.id2label = {index: str(index + 5) for index in range(10)}
    with pytest.raises(ModelError, match="does not name '0'"):
        predict(model, DIGITS.test)
    assert load_model(tmp_path / "m").config.id2label[0] == "0"
