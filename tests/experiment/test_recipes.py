"""Recipes: a tuned study becomes configurations that say what came out, and another run agrees or is told where not."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment import Study, read_study
from unlearn_audit.experiment.config import read_settings
from unlearn_audit.experiment.measured import differences, measure_outcome
from unlearn_audit.experiment.recipes import recipes_in, write_recipes
from unlearn_audit.experiment.stages import stage_named

pytestmark = pytest.mark.slow

CONFIGURATION = """\
name: small
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
training: {epochs: 2, batch_size: 128, precision: float32}
references: 3
threads: 1
tuning: {trials: 2, strata: 1}
methods:
  gradient_ascent:
    training: {precision: float32}
    search: {learning_rate: [1e-3, 1e-1], epochs: [1, 2]}
  plain:
    method: random_labels
    training: {epochs: 1, learning_rate: 1e-2, precision: float32}
neighbourhood: {number: 3}
measures: [js]
"""


def run_command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configuration") / "small.yaml"
    path.write_text(CONFIGURATION)
    return path


@pytest.fixture(scope="module")
def study(config, tmp_path_factory):
    study = Study.plan(read_study(config), tmp_path_factory.mktemp("runs") / "small")
    study.run()
    return study


@pytest.fixture(scope="module")
def recipes(config, study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipes")
    shown = run_command("recipes", config, "--output", study.store.root, "--to", folder)
    assert shown.exit_code == 0, shown.output
    names = ["small.yaml", "small-gradient_ascent.yaml", "small-plain.yaml"]
    assert [Path(line).name for line in shown.output.split()] == names
    return folder


def test_the_held_out_model_is_no_reference_and_no_candidate(study):
    report = AuditReport.load(study.store.root / "report")
    names = {model.name for model in report.models}
    assert "held-out" not in names
    held_out, tuned = (stage_named(study.stages, name) for name in ("held-out", "tune-gradient_ascent"))
    seeds = {stage.seed for stage in study.stages if stage.name.startswith("retrained")}
    assert held_out.seed not in seeds
    assert tuned.seed != stage_named(study.stages, "gradient_ascent").seed


def test_recipes_do_not_take_the_place_of_other_files(config, study, tmp_path):
    (tmp_path / "small-plain.yaml").write_text("mine")
    shown = run_command("recipes", config, "--output", study.store.root, "--to", tmp_path)
    assert isinstance(shown.exception, ConfigurationError) and "small-plain.yaml" in str(shown.exception)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("small-plain.yaml", "mine")]
    (tmp_path / "small-plain.yaml").unlink()
    for _ in range(2):
        assert run_command("recipes", config, "--output", study.store.root, "--to", tmp_path).exit_code == 0


def test_the_unlearned_model_is_trained_with_what_tuning_found(study):
    tuned = study.store.manifest(stage_named(study.stages, "tune-gradient_ascent"))["results"]
    unlearned = study.store.manifest(stage_named(study.stages, "gradient_ascent"))["results"]
    assert len(tuned["trials"]) == 2
    best = min(tuned["trials"], key=lambda trial: trial["objective"])
    assert tuned["found"] == {
        "learning_rate": pytest.approx(best["learning_rate"], rel=0.005),
        "epochs": best["epochs"],
    }
    assert {name: unlearned["training"][name] for name in tuned["found"]} == tuned["found"]


def test_a_recipe_holds_what_was_found_and_measured(study, recipes):
    found = study.store.manifest(stage_named(study.stages, "tune-gradient_ascent"))["results"]["found"]
    content = yaml.safe_load((recipes / "small-gradient_ascent.yaml").read_text())
    assert content["methods"]["gradient_ascent"]["training"] == {"precision": "float32", **found}
    assert "search" not in content["methods"]["gradient_ascent"] and "tuning" not in content
    report = AuditReport.load(study.store.root / "report")
    comparison = report.comparison("gradient_ascent", "retain", "js")
    measured = content["measured"]
    assert [entry["ratio"] for entry in measured["retain"]] == [round(s.ratio, 3) for s in comparison.strata]
    for entry, stratum in zip(measured["retain"], comparison.strata, strict=True):
        low, high = entry["between"]
        assert low < stratum.lower < entry["ratio"] < stratum.upper < high
    assert measured["verdict"] == report.verdicts["gradient_ascent"].outcome
    assert measured["seeds"] == {"original": [0], "retrained": [1, 2, 3], "unlearned": [1]}
    assert {"torch", "transformers", "unlearn-audit"} <= set(measured["versions"])
    assert [path.name for path in recipes_in(recipes)] == ["small-gradient_ascent.yaml", "small-plain.yaml"]


def test_a_recipe_gives_the_stated_figures_again(study, recipes):
    shown = run_command("run", recipes / "small-gradient_ascent.yaml", "--output", study.store.root)
    assert "All ratios are within the spread that the recipe states." in shown.output
    ran = Study.plan(read_study(recipes / "small-gradient_ascent.yaml"), study.store.root)
    report = AuditReport.load(ran.store.root / "report")
    again, first = (
        measure_outcome(one, "gradient_ascent", seeds={})
        for one in (report, AuditReport.load(study.store.folder(study.stages[-1]) / "report"))
    )
    assert [entry.ratio for entry in again.retain] == [entry.ratio for entry in first.retain]


def test_a_recipe_whose_figures_do_not_come_out_again_is_told_where(study, recipes, tmp_path):
    path = tmp_path / "wrong.yaml"
    content = yaml.safe_load((recipes / "small-gradient_ascent.yaml").read_text())
    content["measured"]["forget"] = [{"stratum": "all", "ratio": 9.0, "between": [8.5, 9.5]}]
    path.write_text(yaml.safe_dump(content))
    measured = read_study(path).measured
    assert measured.forget[0].between == (8.5, 9.5)
    report = AuditReport.load(study.store.folder(study.stages[-1]) / "report")
    (found,) = differences(report, "gradient_ascent", measured)
    assert re.fullmatch(r"forget, all: [\d.]+ where the recipe measured 9.00 \(8.50 to 9.50\)", found)
    shown = run_command("run", path, "--output", study.store.root)
    assert "The recipe measured something else:\n  forget, all" in shown.output


def test_all_methods_in_one_file_run_as_tuned(recipes, study):
    whole = Study.plan(read_study(recipes / "small.yaml"), study.store.root)
    assert whole.config.methods["plain"].training == study.config.methods["plain"].training
    assert not any(stage.name.startswith("tune-") for stage in whole.stages)


def test_where_the_data_lie_is_no_part_of_a_recipe(config):
    settings = read_settings(config, settings=["data.source=/somewhere/else", "references=7"])
    assert settings["data"]["source"] == "digits" and settings["references"] == 7


def test_an_unfinished_study_and_a_recipe_make_no_recipes(config, study, recipes, tmp_path):
    unfinished = Study.plan(read_study(config), tmp_path)
    with pytest.raises(ConfigurationError, match="Run it first"):
        write_recipes(unfinished, read_settings(config), tmp_path, command="")
    path = recipes / "small-plain.yaml"
    again = Study.plan(read_study(path), study.store.root)
    again.run()
    with pytest.raises(ConfigurationError, match="has its `measured` outcome"):
        write_recipes(again, read_settings(path), tmp_path, command="")


def test_a_recipe_is_of_one_method(recipes, tmp_path):
    content = yaml.safe_load((recipes / "small-plain.yaml").read_text())
    content["methods"]["finetune"] = {}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=r"one method in a recipe, .* got 2"):
        read_study(path)
