"""`train`, `unlearn`, `predict`, `run --print-stages` and the lists, in this process."""

import shlex

import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit.errors import ConfigurationError, ForgetSetError
from unlearn_audit.measures import registry as measures
from unlearn_audit.methods import registry as methods
from unlearn_audit.models import load_model, weights_hash
from unlearn_audit.predictions import Predictions

FAST = ["--set", "epochs=1", "--set", "batch_size=512", "--set", "precision=float32"]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "original"
    shown = invoke("train", "--data", "digits", "--output", folder, "--model", "resnet8", *FAST)
    assert shown.exit_code == 0, shown.output
    assert "1433 examples" in shown.output
    return folder


def test_train_without_a_forget_set_and_with_one_see_different_examples(original, tmp_path):
    shown = invoke(
        "train", "--data", "digits", "-o", tmp_path / "r", "--model", "resnet8", "--forget-class", "8", *FAST
    )
    size = 1433 - len((tmp_path / "r" / "forget.json").read_text().split("train-")) + 1
    assert f"{size} examples" in shown.output
    assert not (original / "forget.json").exists()


def test_unlearn_changes_the_model_and_keeps_the_forget_set(original, tmp_path):
    out = tmp_path / "u"
    settings = ["--set", "training.epochs=1", "--set", "training.learning_rate=1e-2"]
    forget = ["--forget-class", "8", "--forget-fraction", "0.5"]
    shown = invoke(
        "unlearn", original, "--data", "digits", "-o", out, "--method", "gradient_ascent", *forget, *settings
    )
    assert shown.exit_code == 0, shown.output
    assert weights_hash(load_model(out)) != weights_hash(load_model(original))
    assert (out / "forget.json").is_file()


def test_unlearn_names_a_wrong_option(original, tmp_path):
    more = ["--method", "random_labels", "--forget-class", "8", "--set", "label=wrong"]
    shown = invoke("unlearn", original, "--data", "digits", "-o", tmp_path / "u", *more)
    assert isinstance(shown.exception, ConfigurationError)
    assert "--set label=wrong" in str(shown.exception) and "'labels'" in str(shown.exception)


def test_unlearn_needs_a_forget_set(original, tmp_path):
    shown = invoke("unlearn", original, "--data", "digits", "-o", tmp_path / "u", "--method", "finetune")
    assert "Expected --forget-class" in str(shown.exception)


def test_an_unknown_class_is_an_error(tmp_path):
    shown = invoke("train", "--data", "digits", "-o", tmp_path / "r", "--forget-class", "eight")
    assert isinstance(shown.exception, ForgetSetError)


def test_predict_writes_all_examples(original, tmp_path):
    path = tmp_path / "deep" / "p.parquet"
    assert invoke("predict", original, "--data", "digits", "-o", path).exit_code == 0
    found = Predictions.load(path)
    assert found.logits.shape == (1797, 10) and found.embeddings.shape == (1797, 64)


def test_print_stages_prints_a_command_for_each_stage_and_does_nothing(tmp_path):
    config = tmp_path / "my study.yaml"
    invoke("init", config)
    settings = ["--set", "references=2", "--output", tmp_path / "out"]
    lines = invoke("run", config, "--print-stages", *settings).output.splitlines()
    assert not (tmp_path / "out" / "stages").exists()
    first = shlex.split(lines[0], comments=True)
    expected = ["unlearn-audit", "run", str(config), "--set", "references=2", "--output", str(tmp_path / "out")]
    assert first == [*expected, "--stage", "seal"]
    assert lines[0].split("  # ")[1].startswith("to do; needs nothing; ")
    assert shlex.split(lines[-1], comments=True)[-1] == "report"


def test_lists_show_every_plug_in_with_its_options():
    shown = invoke("methods").output
    assert all(name in shown for name in methods.names()) and "retain_share=1.0" in shown.replace("\n", "")
    shown = invoke("measures").output
    assert all(name in shown for name in measures.names())
    shown = invoke("neighbourhoods").output
    assert "centroid" in shown and "equal_width" in shown


def test_one_method_is_shown_in_full():
    shown = invoke("methods", "salun").output
    assert "Fan et al. 2024" in shown
    assert any(line.split()[:2] == ["saliency_share", "float"] for line in shown.splitlines())


def test_a_measure_is_shown_with_its_formula():
    assert "m = (p + q) / 2" in invoke("measures", "js").output


def test_a_whole_study_refuses_to_run_in_several_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    shown = invoke("run", tmp_path / "any.yaml")
    assert isinstance(shown.exception, ConfigurationError) and "accelerate launch" in str(shown.exception)
