"""A checkpoint that was torn, edited or put in the way is named and set aside, and training makes the same model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import TrainerCallback

from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.models import weights_hash
from unlearn_audit.training import TrainingConfig, fit
from unlearn_audit.training.checkpoints import HASHES, last_checkpoint

IMAGES = tiny_images(32)
CONFIG = TrainingConfig(epochs=2, learning_rate=0.02, batch_size=8, precision="float32", checkpoints=3)


class Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 7:
            raise KeyboardInterrupt


class FirstStep(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        self.step = state.global_step


def trained(folder, *callbacks) -> str:
    run = fit(tiny_resnet(IMAGES), IMAGES, CONFIG, seed=1, output_dir=folder, progress=False, callbacks=callbacks)
    return weights_hash(run.model)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run that was interrupted after its last checkpoint, and the weights of one that was not."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        trained(folder, Stop())
    return folder, trained(None)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def says(text: str):
    return lambda path: path.write_text(text)


RUN, CHECKPOINT = "run-*", "run-*/checkpoint-6"
DAMAGES = {
    "the model is cut off": (f"{CHECKPOINT}/model.safetensors", cut),
    "a bit of the model is flipped": (f"{CHECKPOINT}/model.safetensors", flipped),
    "the model is a folder": (f"{CHECKPOINT}/model.safetensors", as_folder),
    "the model is gone": (f"{CHECKPOINT}/model.safetensors", Path.unlink),
    "the optimizer is cut off": (f"{CHECKPOINT}/optimizer.pt", cut),
    "the optimizer is empty": (f"{CHECKPOINT}/optimizer.pt", says("")),
    "the schedule is cut off": (f"{CHECKPOINT}/scheduler.pt", cut),
    "the state is cut off": (f"{CHECKPOINT}/trainer_state.json", cut),
    "the state is []": (f"{CHECKPOINT}/trainer_state.json", says("[]")),
    "the state is no UTF-8": (f"{CHECKPOINT}/trainer_state.json", lambda path: path.write_bytes(b"\xff")),
    "the hashes are cut off": (f"{CHECKPOINT}/{HASHES}", cut),
    "the hashes are []": (f"{CHECKPOINT}/{HASHES}", says("[]")),
    "the checkpoint is a file": (CHECKPOINT, as_file),
    "the run is a file": (RUN, as_file),
    "the inputs are a folder": (f"{RUN}/inputs.json", as_folder),
}
STAY = {"the inputs are a folder"}  # the checkpoint is whole


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_set_aside_and_made_again(interrupted, tmp_path, damage) -> None:
    shutil.copytree(interrupted[0], tmp_path, dirs_exist_ok=True)
    pattern, harm = DAMAGES[damage]
    (path,) = tmp_path.glob(pattern)
    harm(path)
    first = FirstStep()
    with pytest.warns(UserWarning, match=r"It is kept as damaged-1-"):
        assert trained(tmp_path, first) == interrupted[1]
    assert first.step == (6 if damage in STAY else 0)
    assert list(tmp_path.rglob("damaged-1-*"))


def test_a_whole_checkpoint_is_gone_on_from_without_a_word(interrupted, tmp_path, recwarn) -> None:
    shutil.copytree(interrupted[0], tmp_path, dirs_exist_ok=True)
    first = FirstStep()
    assert trained(tmp_path, first) == interrupted[1] and first.step == 6
    assert not [warning for warning in recwarn if "kept as" in str(warning.message)]


def test_a_checkpoint_that_was_cut_off_while_it_was_written_is_passed_over(tmp_path) -> None:
    for step, state in (("5", "{}"), ("9", '{"global_st'), ("10", "{}"), ("20", None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert last_checkpoint(tmp_path / "checkpoint-20") is None
