"""What somebody meets in the first hour: versions, names, reports that are made again, notebooks."""

from __future__ import annotations

import importlib
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from unlearn_audit.cli.completing import model_names
from unlearn_audit.cli.main import app

import unlearn_audit
from tests.made_up_audit import made_up
from unlearn_audit import AuditReport, Predictions, audit
from unlearn_audit.errors import PredictionsError, did_you_mean
from unlearn_audit.experiment.stages.base import MANIFEST, Stage, Store, reseal, run_stage
from unlearn_audit.methods import registry
from unlearn_audit.models.naming import timm_names, transformers_names


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_has_a_short_option(option: str) -> None:
    assert CliRunner().invoke(app, [option]).output.strip() == f"unlearn-audit {unlearn_audit.__version__}"


def test_the_package_is_the_command(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["unlearn_audit", "-V"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("unlearn_audit", run_name="__main__")
    assert not end.value.code and unlearn_audit.__version__ in capsys.readouterr().out


def test_methods_are_imported_by_their_class_names() -> None:
    methods = importlib.import_module("unlearn_audit.methods")
    for name in registry.names():
        kind = registry.load(name)
        assert getattr(methods, kind.__name__) is kind
    with pytest.raises(ImportError):
        exec("from unlearn_audit.methods import NoSuchMethod")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("methods local", {"local_teacher_distillation", "local_teacher_knn"}),
        ("unlearn m --method sals", set()),
        ("unlearn m --method salu", {"salun"}),
        ("measures marg", {"margin_gap"}),
        ("neighbourhoods same", {"same_class"}),
        ("neighbourhoods kn", {"knn"}),
        ("train --model convnextv2_p", {"convnextv2_pico"}),
        ("audit --set policy.le", {"policy.level="}),
        ("plan --set neighbourhood.proximity=", {"neighbourhood.proximity=centroid", "neighbourhood.proximity=knn"}),
        ("seal --set neighbourhood.strata=q", {"neighbourhood.strata=quantiles"}),
        ("predict m --precision b", {"bfloat16"}),
        ("calibrate mem", {"memorising"}),
    ],
)
def test_a_shell_completes_values(line: str, expected: set[str]) -> None:
    shell = {"_UNLEARN_AUDIT_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    shown = CliRunner().invoke(app, env={**shell, "_TYPER_COMPLETE_ARGS": f"unlearn-audit {line}"})
    assert {text.split("\t")[0] for text in shown.output.split()} == expected


def test_all_architectures_are_completed_without_importing_them() -> None:
    assert set(model_names("")) == timm_names() | transformers_names()
    script = "import sys; from unlearn_audit.cli.completing import model_names; assert model_names('vit'); "
    heavy = "sys.exit(bool({'torch', 'timm', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script + heavy], check=False).returncode == 0


def test_what_is_redirected_holds_no_bars(tmp_path, monkeypatch) -> None:
    """Under `nohup`, in a log, a bar is thousands of lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNLEARN_AUDIT_CACHE", str(tmp_path / "decoded"))
    for place in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "pets" / place).mkdir(parents=True)
        for seed in range(3):
            pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / place / f"{seed}.png")
    fast = "--set epochs=1 --set precision=float32 --model resnet8 --model-set arguments.width=4"
    lines = {
        "train": f"train --data pets {fast} -o m",
        "predict": "predict m --data pets -o m.parquet",
        "unlearn": "unlearn m --data pets --method finetune --forget-class cat --set training.epochs=1 -o u",
    }
    for name, line in lines.items():
        shown = CliRunner().invoke(app, line.split())
        assert shown.exit_code == 0, shown.output
        assert len(shown.output.splitlines()) < 8, name
        assert not [mark for mark in ("%|", "it/s", "━", "\r") if mark in shown.output], name


def test_a_long_list_of_names_is_cut() -> None:
    assert len(did_you_mean("zzz", [f"name-{i}" for i in range(2000)])) < 600


def test_a_report_is_one_line_where_a_notebook_shows_it(saved_report) -> None:
    shown = repr(AuditReport.load(saved_report))
    assert len(shown) < 300 and "honest" in shown


def test_reports_of_one_title_are_told_apart(report_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(report_folder, tmp_path / "second")
    shown = CliRunner().invoke(app, ["report", str(report_folder), "second"])
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "comparison.html").read_text()
    assert "(second)" in page and f"({report_folder})" in page


def test_a_report_that_is_made_again_leaves_its_stage_done(tmp_path) -> None:
    class Written(Stage):
        kind = "written"

        def run(self, workspace):
            (workspace.folder / "report").mkdir(exist_ok=True)
            (workspace.folder / "report" / "report.html").write_text("first")
            return {}

    stage, store = Written(name="report"), Store(tmp_path)
    run_stage(stage, store)
    folder = store.folder(stage) / "report"
    (folder / "report.html").write_text("second")
    (folder / "more.png").write_text("new")
    assert not store.is_complete(stage)
    reseal(folder)
    assert store.is_complete(stage)
    (folder / "more.png").write_text("other")
    assert not store.is_complete(stage)
    (store.folder(stage) / MANIFEST).unlink()
    reseal(folder)
    assert not store.is_complete(stage)


def test_predictions_on_other_data_are_not_compared() -> None:
    models = [made_up(seed) for seed in range(4)]
    other = made_up(5)
    other.metadata["data_fingerprint"] = "e" * 64
    with pytest.raises(PredictionsError, match="on other data"):
        audit(models[0], [*models[1:], other], models[0].example_ids[:50], original=made_up(9))


def test_probabilities_that_are_called_logits_are_noticed(tmp_path) -> None:
    from unlearn_audit.predictions.parquet import write_parquet

    found = made_up(0)
    probabilities = np.exp(found.logits) / np.exp(found.logits).sum(axis=1, keepdims=True)
    with pytest.raises(PredictionsError, match="got probabilities"):
        Predictions(found.example_ids, found.splits, found.labels, probabilities)
    columns = {"example_ids": found.example_ids, "splits": found.splits, "labels": found.labels}
    write_parquet(tmp_path / "p.parquet", **columns, logits=probabilities, embeddings=None, metadata={})
    from unlearn_audit.predictions import open_predictions

    with pytest.raises(PredictionsError, match="got probabilities"):
        list(open_predictions(tmp_path / "p.parquet").logit_chunks(100))
