"""How a model was trained goes with it: into its folder and predictions, through LoRA, and not past unlearning."""

from __future__ import annotations

import json

import pytest

from tests.tiny import tiny_forget, tiny_images, tiny_resnet, tiny_vit
from unlearn_audit.methods import registry
from unlearn_audit.models import adapt, load_model, merge, predict, save_model
from unlearn_audit.training import TrainingConfig, fit, unlearn

IMAGES = tiny_images(16)
CONFIG = TrainingConfig(epochs=1, batch_size=8, learning_rate=0.01, precision="float32", checkpoints=0)


def trained(config: TrainingConfig = CONFIG, seed: int = 0):
    return fit(tiny_resnet(IMAGES, seed=seed), IMAGES, config, seed=seed, progress=False).model


def said(model) -> dict | None:
    text = predict(model, IMAGES).metadata.get("training")
    return None if text is None else json.loads(text)


def test_predictions_say_how_their_model_was_trained_also_after_it_was_saved(tmp_path) -> None:
    model = trained()
    save_model(model, tmp_path)
    found = said(load_model(tmp_path))
    assert found == said(model) and found["epochs"] == 1 and found["precision"] == "float32"
    assert found["architecture"] == "resnet8" and found["parameters"] == found["trained parameters"] > 1_000
    assert str(tmp_path) not in json.dumps(found)


def test_seed_speed_and_checkpoints_are_no_part_of_it_and_settings_are() -> None:
    same = TrainingConfig(epochs=1, batch_size=8, learning_rate=0.01, precision="float32", checkpoints=1)
    assert said(trained()) == said(trained(same, seed=1))
    assert said(trained(TrainingConfig(epochs=1, batch_size=8, precision="float32", checkpoints=0))) != said(trained())


def test_nothing_is_said_of_models_that_fit_did_not_make(tmp_path) -> None:
    assert said(tiny_resnet(IMAGES)) is None
    save_model(trained(), tmp_path)
    method = registry.load("finetune")()
    unlearned = unlearn(load_model(tmp_path), IMAGES, tiny_forget(IMAGES), method, CONFIG, progress=False).model
    assert said(unlearned) is None
    save_model(unlearned, tmp_path)
    assert said(load_model(tmp_path)) is None and not (tmp_path / "training.json").exists()


@pytest.mark.parametrize("damage", ["", "[1]", "{", "\xff"])
def test_a_damaged_file_says_nothing(damage: str, tmp_path) -> None:
    save_model(trained(), tmp_path)
    (tmp_path / "training.json").write_text(damage, encoding="latin-1")
    assert said(load_model(tmp_path)) is None


def test_what_was_trained_of_the_model_is_said_of_the_merged_one() -> None:
    pytest.importorskip("peft")
    for part in ("head", "lora"):
        model = fit(adapt(tiny_vit(IMAGES), part, {}), IMAGES, CONFIG, seed=0, progress=False).model
        found = said(merge(model))
        assert found is not None and found["trained parameters"] < found["parameters"]
