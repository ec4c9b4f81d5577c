"""What somebody meets in the first hour: versions, names, reports that are made again, notebooks."""

from __future__ import annotations

import importlib
import runpy
import shutil
import sys

import numpy as np
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.completing import names_of
from unlearn_audit.cli.main import app

import unlearn_audit
from tests.made_up_audit import made_up
from unlearn_audit import AuditReport, Predictions, audit
from unlearn_audit.errors import PredictionsError, did_you_mean
from unlearn_audit.experiment.stages.base import MANIFEST, Stage, Store, reseal, run_stage
from unlearn_audit.methods import registry


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


def test_names_are_completed() -> None:
    assert names_of("methods")("local") == ["local_teacher_distillation", "local_teacher_knn"]


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
