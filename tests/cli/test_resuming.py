"""An interrupted `train` or `unlearn` goes on where it was, and never where another one was."""

import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit.models import load_model, weights_hash
from unlearn_audit.training.callbacks import CostMeter

pytestmark = pytest.mark.slow

TRAIN = [
    "train",
    "--data",
    "digits",
    "--model",
    "resnet8",
    "--set",
    "epochs=2",
    "--set",
    "batch_size=512",
    "--set",
    "precision=float32",
]
UNLEARN = ["unlearn", "--data", "digits", "--method", "finetune", "--forget-class", "8", "--set", "training.epochs=2"]
UNLEARN += ["--set", "training.batch_size=512", "--set", "training.precision=float32"]
UNLEARN += ["--set", "training.learning_rate=0.01"]
OTHERS = {
    "another forget set": (TRAIN, ["--forget-class", "8"]),
    "another seed": (TRAIN, ["--seed", "1"]),
    "unlearning another forget set": (UNLEARN, ["--forget-class", "3"]),
    "unlearning by another option": (UNLEARN, ["--set", "retain_share=0.5"]),
}


class InterruptionError(Exception):
    pass


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "original"
    assert invoke(*TRAIN, "-o", folder, "--set", "epochs=1").exit_code == 0
    return folder


@pytest.fixture
def steps(monkeypatch):
    """The optimizer steps that were taken; `stop_at` interrupts the run at that one, after the checkpoint before."""

    class Steps(list):
        stop_at = 0

    found, whole = Steps(), CostMeter.on_step_end

    def on_step_end(self, args, state, control, **kwargs):
        found.append(state.global_step)
        if state.global_step == found.stop_at:
            raise InterruptionError
        whole(self, args, state, control, **kwargs)

    monkeypatch.setattr(CostMeter, "on_step_end", on_step_end)
    return found


@pytest.mark.parametrize("what", OTHERS)
def test_a_run_goes_on_from_its_own_checkpoints_alone(what, original, steps, tmp_path) -> None:
    command, other = OTHERS[what]
    first = [command[0], *([original] if command is UNLEARN else []), *command[1:]]
    second = [*first, *other]
    steps.stop_at = 4
    assert isinstance(invoke(*first, "-o", tmp_path / "m").exception, InterruptionError)
    steps.stop_at = 0
    assert list((tmp_path / "m").rglob("checkpoint-3"))

    steps.clear()
    shown = invoke(*second, "-o", tmp_path / "m")
    assert shown.exit_code == 0, shown.output
    assert "keeps unfinished runs with other inputs" in shown.stderr
    assert steps[0] == 1
    assert invoke(*second, "-o", tmp_path / "fresh").exit_code == 0
    assert weights_hash(load_model(tmp_path / "m")) == weights_hash(load_model(tmp_path / "fresh"))

    steps.clear()
    shown = invoke(*first, "-o", tmp_path / "m")
    assert shown.exit_code == 0 and steps[0] == 4
    assert not (tmp_path / "m" / "checkpoints").exists() and "keeps" not in shown.stderr
    assert invoke(*first, "-o", tmp_path / "unbroken").exit_code == 0
    assert weights_hash(load_model(tmp_path / "m")) == weights_hash(load_model(tmp_path / "unbroken"))


def test_what_a_person_puts_beside_the_checkpoints_stays(tmp_path) -> None:
    assert invoke(*TRAIN, "-o", tmp_path / "m", "--set", "epochs=1").exit_code == 0
    notes = tmp_path / "m" / "checkpoints" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    assert invoke(*TRAIN, "-o", tmp_path / "m", "--set", "epochs=1").exit_code == 0
    assert notes.read_text() == "mine"
