"""A tiny study on real digits, run for real: its report, a second run, a killed run, and Ray."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import made_up
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, DataError
from unlearn_audit.experiment import Study, read_study
from unlearn_audit.experiment.spot_check import compared, spot_check
from unlearn_audit.experiment.stages import Progress, stage_named
from unlearn_audit.experiment.study import model_folder_of
from unlearn_audit.experiment.weights import with_weights
from unlearn_audit.models import load_model, weights_hash
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.manifest import seal as write_manifest
from unlearn_audit.saved.sealing import read_seal
from unlearn_audit.saved.standing import standing
from unlearn_audit.saved.verify import verify

pytestmark = pytest.mark.slow

THREATS = Path(__file__).parents[2] / "docs" / "threat-model.md"
CONFIGURATION = """\
name: tiny
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
training: {epochs: 2, batch_size: 128, precision: float32, checkpoints: 5}
references: 3
threads: 1
methods:
  gradient_ascent:
    training: {epochs: 1, learning_rate: 1e-2, precision: float32}
  knn:
    method: local_teacher_knn
    retain_share: 0.1
    n_support: 100
    training: {epochs: 1, precision: float32}
neighbourhood: {number: 3}
measures: [js]
"""


class Events(Progress):
    def __init__(self):
        self.done, self.reused, self.steps = [], [], {}

    def advanced(self, stage, done, total):
        self.steps.setdefault(stage.name, []).append((done, total))

    def finished(self, stage, outcome):
        (self.reused if outcome.reused else self.done).append(stage.name)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configuration") / "tiny.yaml"
    path.write_text(CONFIGURATION)
    return path


@pytest.fixture(scope="module")
def first(config, tmp_path_factory):
    """The study after its first run, and what was told of its progress."""
    study, events = Study.plan(read_study(config), tmp_path_factory.mktemp("runs") / "tiny"), Events()
    study.run(progress=events)
    return study, events


def test_every_stage_is_done_once_and_in_order(first):
    study, events = first
    assert sorted(events.done) == sorted(stage.name for stage in study.stages)
    position = {name: place for place, name in enumerate(events.done)}
    assert all(position[need.name] < position[stage.name] for stage in study.stages for need in stage.needs.values())


def figures_of(value):
    """A report's content without what differs from run to run: seconds, the time, and hashes over them."""
    if isinstance(value, dict):
        changing = ("seconds", "seconds_share", "created", "seal")
        return {key: figures_of(part) for key, part in value.items() if key not in changing}
    return [figures_of(part) for part in value] if isinstance(value, list) else value


def weights_of(study):
    results = {stage.name: study.store.manifest(stage)["results"] for stage in study.stages}
    return {name: found["weights_hash"] for name, found in results.items() if "weights_hash" in found}


def test_stages_side_by_side_and_tracked_come_to_the_same_figures_and_weights(first, config, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    settings = ["report_to=[trackio, tensorboard]"]
    study, (serial, _) = Study.plan(read_study(config, settings=settings), tmp_path / "tiny"), first
    study.run(engine="processes", jobs=2)
    runs = {"original", "retrained-1", "retrained-2", "retrained-3", "gradient_ascent", "knn"}
    assert {path.name for path in (tmp_path / "tiny" / "tensorboard").iterdir()} == runs
    with contextlib.closing(sqlite3.connect(tmp_path / "trackio" / "tiny.db")) as tracked:
        found = [
            (name, json.loads(figures)) for name, figures in tracked.execute("SELECT run_name, metrics FROM metrics")
        ]
    assert {name for name, figures in found if "train/loss" in figures} == runs
    assert {name for name, figures in found if "audit/forgotten" in figures} == {"gradient_ascent", "knn"}
    reports = [json.loads((each.store.root / "report" / "report.json").read_text()) for each in (study, serial)]
    assert figures_of(reports[0]) == figures_of(reports[1])
    weights = [weights_of(each) for each in (study, serial)]
    assert weights[0] == weights[1] and {"retrained-1", "retrained-3", "knn"} <= weights[0].keys()


def test_training_reports_its_steps(first):
    _, events = first
    steps = events.steps["original"]
    total = 2 * -(-1433 // 128)
    assert steps == [(step, total) for step in range(1, total + 1)]


def test_the_report_holds_all_models_and_their_costs(first):
    study, _ = first
    report = AuditReport.load(study.store.root / "report")
    roles = {model.name: model.role for model in report.models}
    references = {f"retrained-{k}": "reference" for k in (1, 2, 3)}
    candidates = {"gradient_ascent": "candidate", "knn": "candidate"}
    assert roles == {**candidates, "original": "original", "untrained": "untrained", **references}
    assert report.model("original").examples == 2 * 1433
    assert report.model("retrained-1").examples == 2 * (1433 - report.forget_set.size)
    assert report.model("gradient_ascent").method == "gradient_ascent"
    assert report.model("untrained").seconds == 0
    assert len(report.strata) == 3


def test_the_report_can_be_verified_and_read(first):
    study, _ = first
    assert verify(study.store.root / "report").differences == ()
    assert (study.store.root / "report" / "report.html").stat().st_size > 10_000


def test_a_study_is_sealed_before_its_candidates_and_says_how_to_make_each_reference_again(first):
    study, events = first
    report = study.store.root / "report"
    assert events.done[0] == "seal"
    found, seal = AuditReport.load(report), read_seal(report / "seal.json")
    assert found.provenance.seal and seal.seen == () and seal.inputs == {}
    assert set(seal.planned) == {
        f"predictions of {n}" for n in ("original", "untrained", *(f"retrained-{k}" for k in (1, 2, 3)))
    }
    assert dict(standing(report, verify(report), ()))["settled before looking"].startswith("hashed: seal")
    for k in (1, 2, 3):
        told = found.provenance.configuration[f"recompute retrained-{k}"]
        assert f"seed {k}, data {found.data.fingerprint[:16]}" in told and f"--stage predict-retrained-{k}" in told


def test_a_policy_that_is_relaxed_after_looking_is_told_by_its_own_seal(first, config, tmp_path):
    study, _ = first
    shutil.copytree(study.store.root, tmp_path / "copy", symlinks=True)
    again = Study.plan(read_study(config, settings=["policy.pattern=0.5"]), tmp_path / "copy")
    again.run()
    report = again.store.root / "report"
    seal = read_seal(report / "seal.json")
    assert seal.seen == ("gradient_ascent", "knn") and len(seal.inputs) == 5 and not seal.planned
    found = verify(report)
    assert found.differences == ()
    assert dict(standing(report, found, ()))["settled before looking"].startswith("NO for gradient_ascent, knn: there")
    assert AuditReport.load(report).provenance.configuration["there before the seal was made"] == "gradient_ascent, knn"
    assert "a study's policy is relaxed after looking" in THREATS.read_text()


def test_a_reference_that_another_stage_made_is_not_what_the_study_sealed(first, tmp_path):
    """Also where the manifest of the report fits it."""
    study, _ = first
    shutil.copytree(study.store.root, tmp_path / "copy", symlinks=True)
    report = (tmp_path / "copy" / "report").resolve()
    folders = (stage_named(study.stages, f"predict-{name}").folder_name for name in ("retrained-1", "original"))
    one, other = (tmp_path / "copy/stages" / folder for folder in folders)
    shutil.copyfile(other / "predictions.parquet", one / "predictions.parquet")
    write_manifest(report)
    assert "seal: predictions of retrained-1 is not the file that was sealed" in verify(report).differences
    (one / "manifest.json").unlink()
    assert any("made as the seal planned it: predictions of retrained-1" in s for s in verify(report).not_checked)


def test_a_reference_is_trained_again_and_is_the_same(first, tmp_path):
    study, _ = first
    report = study.store.root / "report"
    shown = CliRunner().invoke(app, ["verify", str(report), "--retrain", "one"])
    assert re.search(r"retrained-[123] was trained again, with the same weights to the last bit", shown.output)
    with pytest.raises(ConfigurationError, match="Did you mean 'retrained-1'"):
        spot_check(report, "retraind-1")
    shutil.copytree(report, tmp_path / "report")
    (tmp_path / "report" / "study.yaml").write_text(CONFIGURATION.replace("fraction: 0.5", "fraction: 0.4"))
    with pytest.raises(DataError, match="Expected the forget set of the report"):
        spot_check(tmp_path / "report")
    (tmp_path / "report" / "study.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"keeps study\.yaml"):
        spot_check(tmp_path / "report")


def test_a_model_that_is_trained_again_poses_among_the_references(saved_report):
    """The report's were made without damage: another such is one of them, and one with damage refutes them."""
    assert compared(saved_report, "retrained-1", made_up(99)).agrees
    refuted = compared(saved_report, "retrained-1", made_up(99, damage=4))
    assert not refuted.agrees and "the report's references refute it" in refuted.sentence
    assert "references are not what their recipe makes" in THREATS.read_text()


def test_verify_hashes_the_weights_of_a_study_and_says_which_are_not_here(first, tmp_path):
    study, _ = first
    shutil.copytree(study.store.root, tmp_path / "copy", symlinks=True)
    report = tmp_path / "copy" / "report"
    whole = CliRunner().invoke(app, ["verify", str(report)])
    assert "hashed again: gradient_ascent, knn, original" in whole.output and "not here" not in whole.output
    stages = model_folder_of(report, "knn").parents[1]
    knn, original, gone = (
        stages / stage_named(study.stages, n).folder_name for n in ("knn", "original", "retrained-1")
    )
    shutil.copyfile(original / "model/model.safetensors", knn / "model/model.safetensors")
    shutil.rmtree(gone)
    forged = CliRunner().invoke(app, ["verify", str(report)])
    assert forged.exit_code == 1 and "weights of knn: they have the hash" in str(forged.exception)
    found = with_weights(verify(report), report)
    assert found.absent == ("retrained-1",) and len(found.differences) == 1
    assert "weights are replaced in a study's folder" in THREATS.read_text()


def test_retrained_models_never_saw_the_forget_set_and_predict_all_examples(first):
    study, _ = first
    stage = stage_named(study.stages, "predict-retrained-1")
    found = Predictions.load(study.store.folder(stage) / "predictions.parquet")
    assert len(found.example_ids) == 1797
    assert sorted(set(found.splits)) == ["test", "train"]
    assert np.isfinite(found.logits).all()


def test_a_candidate_s_model_is_found_from_the_report(first):
    study, _ = first
    folder = model_folder_of(study.store.root / "report", "knn")
    manifest = study.store.manifest(stage_named(study.stages, "knn"))
    assert weights_hash(load_model(folder)) == manifest["results"]["weights_hash"]


def test_a_second_run_does_nothing(first, config):
    study, _ = first
    again, events = Study.plan(read_study(config), study.store.root), Events()
    again.run(progress=events)
    assert events.done == []
    assert len(events.reused) == len(study.stages)


def test_a_run_of_one_stage_does_only_what_it_needs(config, tmp_path):
    study, events = Study.plan(read_study(config), tmp_path), Events()
    study.run(only="predict-untrained", progress=events)
    assert events.done == ["untrained", "predict-untrained"]
    assert not (tmp_path / "report").exists()


def test_checkpoints_are_gone_when_a_stage_is_done(first):
    study, _ = first
    assert not list(study.store.root.rglob("checkpoint*"))


def test_a_killed_run_goes_on_inside_training_with_the_same_result(first, config, tmp_path):
    study, _ = first
    line = [sys.executable, "-m", "unlearn_audit.cli", "run", str(config), "--output", str(tmp_path)]
    process = subprocess.Popen([*line, "--stage", "original"], stdout=subprocess.DEVNULL, env=dict(os.environ))
    killed = Study.plan(read_study(config), tmp_path)
    stage = stage_named(killed.stages, "original")
    checkpoints = killed.store.folder(stage) / "checkpoints"
    while not list(checkpoints.glob("*/checkpoint-*/trainer_state.json")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.store.is_complete(stage)
    events = Events()
    killed.run(only="original", progress=events)
    assert events.steps["original"][0][0] > 1
    results = [s.store.manifest(stage)["results"] for s in (study, killed)]
    assert results[0]["weights_hash"] == results[1]["weights_hash"]
    assert results[0]["examples"] == results[1]["examples"]


def changed_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edited_figure(path):
    text = path.read_text()
    path.write_text(text.replace('"level": 0.', '"level": 9.', 1))
    assert path.read_text() != text and path.stat().st_size == len(text.encode())


HARMS = {
    "original": ("model/model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:1000])),
    "predict-retrained-1": ("predictions.parquet", changed_byte),
    "forget": ("manifest.json", lambda path: path.write_bytes(b"\xff\xfe")),
    "predict-knn": ("manifest.json", lambda path: (path.unlink(), path.mkdir())),
    "audit": ("report/report.json", edited_figure),
    "report": ("report/report.json", edited_figure),
}


def test_what_was_edited_or_torn_is_made_again_with_a_warning(first, config, tmp_path):
    study, _ = first
    shutil.copytree(study.store.root, tmp_path / "copy")  # which makes a folder of the link `report`
    again = Study.plan(read_study(config), tmp_path / "copy")
    for name, (file, harm) in HARMS.items():
        harm(again.store.folder(stage_named(again.stages, name)) / file)
    shown = CliRunner().invoke(app, ["run", str(config), "--output", str(again.store.root)], env={"COLUMNS": "400"})
    assert shown.exit_code == 0, shown.output
    for name, (file, _) in HARMS.items():
        folder = stage_named(again.stages, name).folder_name
        assert f"{name}: {folder}/{file} is not" in shown.output or f"{name}: {folder}/{file} cannot" in shown.output
        assert (again.store.root / "stages" / f"{folder}.damaged-1").is_dir()
    assert f"{len(again.stages) - len(HARMS)} of {len(again.stages)} stages were done before" in shown.output
    reports = [AuditReport.load(s.store.root / "report") for s in (study, again)]
    assert reports[0].results == reports[1].results and reports[0].verdicts == reports[1].verdicts
    assert (again.store.root / "report").is_symlink() and (again.store.root / "report.damaged-1").is_dir()
    assert verify(again.store.root / "report").differences == ()


def test_a_candidate_s_model_is_not_looked_for_in_a_torn_manifest(first, tmp_path):
    study, _ = first
    shutil.copytree(study.store.root, tmp_path / "copy", symlinks=True)
    folder = stage_named(study.stages, "predict-knn").folder_name
    for text in ("", "{}", "[]", '{"needs": null}'):
        (tmp_path / "copy" / "stages" / folder / "manifest.json").write_text(text)
        with pytest.raises(ConfigurationError, match="moved or damaged"):
            model_folder_of(tmp_path / "copy" / "report", "knn")


def test_ray_makes_the_same_figures(first, config, tmp_path):
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'unlearn-audit[ray]'")
    from unlearn_audit.experiment.engines.ray import run_on_ray

    study, _ = first
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        remote = Study.plan(read_study(config), tmp_path)
        run_on_ray(remote.stages, remote.store, Progress())
    finally:
        ray.shutdown()
    reports = [AuditReport.load(s.store.folder(s.stages[-1]) / "report") for s in (study, remote)]
    assert reports[0].results == reports[1].results
    assert reports[0].verdicts == reports[1].verdicts
