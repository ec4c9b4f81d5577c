"""`report_to`: what an audit found in the trackers, and what of it a study keeps to itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment import trackers
from unlearn_audit.experiment.trackers import Tracking
from unlearn_audit.reporting.tracking import audit_metrics

pytestmark = pytest.mark.slow

LOG = """
import sys
from pathlib import Path
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.experiment.trackers import Tracking
report, folder = AuditReport.load(sys.argv[1]), Path(sys.argv[2])
tracking = Tracking.of(("trackio", "tensorboard"), "study", folder)
tracking.log_audit(report, {name: f"run of {name}" for name in report.verdicts})
"""


def test_what_an_audit_found_is_in_the_run_of_each_candidate_with_an_alert_where_it_fails(saved_report, tmp_path):
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}  # which trackio reads when it is imported
    command = [sys.executable, "-c", LOG, str(saved_report), str(tmp_path)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert not done.stdout
    report = AuditReport.load(saved_report)
    failing = {name for name, verdict in report.verdicts.items() if verdict.outcome == "fail"}
    assert failing and failing < report.verdicts.keys()
    with contextlib.closing(sqlite3.connect(tmp_path / "trackio" / "study.db")) as tracked:
        alerts = set(tracked.execute("SELECT run_name, title, text, level FROM alerts"))
    reasons = {name: report.verdicts[name].reason for name in failing}
    assert alerts == {(f"run of {n}", f"{n} fails its audit", reason, "error") for n, reason in reasons.items()}
    for name in report.verdicts:
        board = EventAccumulator(str(tmp_path / "tensorboard" / f"run of {name}"))
        board.Reload()
        found = {key: board.Scalars(key)[0].value for key in board.Tags()["scalars"]}
        assert found == pytest.approx(audit_metrics(report, name), rel=1e-5)


TRAIN = """
import os, signal, sys, time
from pathlib import Path
from transformers import TrainerCallback
from unlearn_audit import TrainingConfig, create_model, fit, load_images
from unlearn_audit.experiment.trackers import Tracking

class Killed(TrainerCallback):
    def on_log(self, args, state, control, **kwargs):
        if sys.argv[2] == "killed" and state.epoch == 3:
            time.sleep(2)  # until trackio, which writes from a thread, has written it
            os.kill(os.getpid(), signal.SIGKILL)

folder, data = Path(sys.argv[1]), load_images("digits")
config = TrainingConfig(epochs=4, batch_size=512, precision="float32", checkpoints=2)
model = create_model("resnet8", data.train, seed=0, width=4)
tracking = Tracking.of(("trackio", "tensorboard"), "study", folder)
fit(model, data.train, config, seed=0, output_dir=folder / "checkpoints", progress=False,
    callbacks=[*tracking.callbacks("original"), Killed()])
"""


def logged(folder: Path) -> tuple[list[int], list[int]]:
    """The steps at which TensorBoard shows a loss, and those that trackio holds."""
    board = EventAccumulator(str(folder / "tensorboard" / "original"))
    board.Reload()
    with contextlib.closing(sqlite3.connect(folder / "trackio" / "study.db")) as tracked:
        rows = [json.loads(row) for (row,) in tracked.execute("SELECT metrics FROM metrics ORDER BY id")]
    steps = [row["train/global_step"] for row in rows if "train/loss" in row]
    return [event.step for event in board.Scalars("train/loss")], steps


@pytest.mark.slow
def test_a_training_that_is_killed_and_goes_on_shows_each_epoch_once(quick_commands, tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    environment = {**quick_commands, "TRACKIO_DIR": str(tmp_path / "trackio")}

    def train(how: str) -> int:
        command = ["python", str(tmp_path / "train.py"), str(tmp_path), how]
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True).returncode

    assert train("killed") == -signal.SIGKILL
    assert logged(tmp_path) == ([3, 6, 9], [3, 6, 9])
    assert last_checkpoint_of(tmp_path) == 8  # from which the third epoch ends again
    assert train("whole") == 0
    assert logged(tmp_path) == ([3, 6, 9, 12], [3, 6, 9, 12])


def last_checkpoint_of(folder: Path) -> int:
    return max(int(path.name.rpartition("-")[2]) for path in (folder / "checkpoints").rglob("checkpoint-*"))


def test_by_default_nothing_is_logged() -> None:
    tracking = Tracking.of(None, "study", Path("nowhere"))
    assert tracking.to == () and tracking.callbacks("run") == [] and Tracking.of("none", "study", Path()).to == ()
    with tracking.run("run") as log:
        log({"figure": 1.0})
    assert not Path("nowhere").exists()


def test_a_tracker_that_is_not_there_is_refused_before_any_training(monkeypatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pip install wandb"):
        Tracking.of("wandb", "study", Path())
    with pytest.raises(ConfigurationError, match="expected 'none' alone, got none, trackio"):
        Tracking.of(("none", "trackio"), "study", Path())
