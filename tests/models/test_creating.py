"""Models to be trained: every kind of architecture and checkpoint, its head, its processor, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.checkpoints import ARGUMENTS, CHECKPOINTS, VIT, with_classes
from tests.tiny import tiny_images
from unlearn_audit.errors import ModelError
from unlearn_audit.models import Preprocessing, create_model, load_model, predict, save_model, weights_hash
from unlearn_audit.models.loading import classifier
from unlearn_audit.models.naming import Checkpoint, checkpoint_named
from unlearn_audit.training import TrainingConfig, fit

IMAGES = tiny_images(12)
QUICK = TrainingConfig(epochs=1, batch_size=12, learning_rate=0.01, precision="float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the folder of a checkpoint, made once."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = CHECKPOINTS[kind](tmp_path_factory.mktemp("checkpoint"))
        return made[kind]

    return folder


def below_the_head(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    names = {id(p) for p in classifier(model).parameters()}
    return {name: p.detach().clone() for name, p in model.named_parameters() if id(p) not in names}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_keeps_its_weights_and_gets_a_head_of_its_seed(kind: str, saved, tmp_path) -> None:
    models = [create_model(saved(kind), IMAGES, seed=seed) for seed in (0, 0, 1)]
    heads = [classifier(model).weight.detach() for model in models]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
    first, other = (below_the_head(models[place]) for place in (0, 2))
    assert first and all(torch.equal(first[name], other[name]) for name in first)
    raw = load_file(saved(kind) / "model.safetensors").values()
    assert all(any(tensor.shape == p.shape and torch.equal(tensor, p) for tensor in raw) for p in first.values())
    assert models[0].config.id2label == dict(enumerate("abcd"))
    save_model(models[0], tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.config.id2label == dict(enumerate("abcd"))
    np.testing.assert_allclose(predict(loaded, IMAGES).logits, predict(models[0], IMAGES).logits, atol=1e-6)


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_an_architecture_of_transformers_is_built_from_its_seed_and_trains(kind: str) -> None:
    one, same, other = (create_model(kind, IMAGES, seed=seed, **ARGUMENTS[kind]) for seed in (0, 0, 1))
    assert weights_hash(one) == weights_hash(same) != weights_hash(other)
    assert predict(one, IMAGES).logits.shape == (12, 4)
    before = weights_hash(one)
    fit(one, IMAGES, QUICK, seed=0, progress=False)
    assert weights_hash(one) != before


def test_a_checkpoint_takes_images_as_its_own_processor_does(saved) -> None:
    model = create_model(saved("vit"), tiny_images(6, size=20), seed=0)
    assert Preprocessing.of(model).mean == (0.4, 0.5, 0.6)
    assert predict(model, tiny_images(6, size=20)).logits.shape == (6, 4)


def test_a_head_for_these_very_classes_is_kept_and_one_of_the_same_size_for_others_is_not(saved, tmp_path) -> None:
    first = create_model(saved("vit"), IMAGES, seed=0)
    save_model(first, tmp_path / "same")
    again = create_model(tmp_path / "same", IMAGES, seed=1)
    assert weights_hash(again) == weights_hash(first)
    other = create_model(with_classes("vit", tmp_path / "other", classes=4), IMAGES, seed=1)
    assert not any(
        torch.equal(classifier(other).weight, tensor)
        for tensor in load_file(tmp_path / "other/model.safetensors").values()
    )


def test_a_checkpoint_may_lend_its_configuration_alone_and_take_other_arguments(saved) -> None:
    pretrained, random = (create_model(saved("vit"), IMAGES, seed=0, pretrained=p) for p in (None, False))
    assert below_the_head(pretrained).keys() == below_the_head(random).keys()
    assert weights_hash(pretrained) != weights_hash(random)
    assert create_model(saved("vit"), IMAGES, seed=0, hidden_dropout_prob=0.5).config.hidden_dropout_prob == 0.5


def test_a_model_of_one_channel_sees_luminance() -> None:
    from PIL import Image

    model = create_model("vit", IMAGES, seed=0, num_channels=1, **VIT)
    grey = np.stack([np.asarray(Image.fromarray(p).convert("L")) for p in IMAGES.pixels])
    pixels = (torch.tensor(grey)[:, None] / 255 - 0.5) / 0.25
    with torch.no_grad():
        expected = model.eval()(pixel_values=pixels).logits.numpy()
    np.testing.assert_allclose(predict(model, IMAGES).logits, expected, atol=1e-5)
    assert predict(model, tiny_images(6, size=20)).logits.shape == (6, 4)
    with pytest.raises(ModelError, match="3 channels or of 1, got one that takes 5"):
        create_model("vit", IMAGES, seed=0, num_channels=5, **VIT)


def test_a_checkpoint_whose_body_is_incomplete_is_refused(saved, tmp_path) -> None:
    folder = with_classes("vit", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["vit.layernorm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"vit.layernorm.weight is missing"):
        create_model(folder, IMAGES, seed=0)


NAMES = {
    "google/vit-base": Checkpoint("google/vit-base"),
    "hf://google/vit-base@v1/deep/folder": Checkpoint("google/vit-base", "v1", "deep/folder"),
    "./resnet8": Checkpoint("./resnet8"),
    "resnet8": None,
    "convnextv2": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_an_architecture_or_a_checkpoint(name: str) -> None:
    assert checkpoint_named(name) == NAMES[name] or Checkpoint.of(name) == NAMES[name]


def test_pretrained_takes_a_timm_architecture_s_weights_on_the_hub() -> None:
    assert checkpoint_named("resnet18.a1_in1k", pretrained=True).source == "timm/resnet18.a1_in1k"
    assert checkpoint_named("resnet18", pretrained=True).source.startswith("timm/resnet18.")
    assert checkpoint_named("resnet18") is None
    for name, message in {"vit": "Hub id or folder", "resnet20": "no pretrained weights"}.items():
        with pytest.raises(ModelError, match=message):
            checkpoint_named(name, pretrained=True)


def test_errors_are_short_and_say_what_was_meant(saved) -> None:
    with pytest.raises(ModelError, match="Did you mean") as found:
        create_model("convnextv3", IMAGES, seed=0)
    assert len(str(found.value)) < 300
    with pytest.raises(ModelError) as found:
        create_model("qqqqqqqq", IMAGES, seed=0)
    assert len(str(found.value)) < 2000
    with pytest.raises(ModelError, match="hidden_sise"):
        create_model("vit", IMAGES, seed=0, hidden_sise=8)
    with pytest.raises(ModelError, match="hf://USER/NAME"):
        create_model("hf://google", IMAGES, seed=0)


def test_a_processor_may_lie_elsewhere(saved, tmp_path) -> None:
    model = create_model(saved("vit"), IMAGES, seed=0)
    model.save_pretrained(tmp_path)  # as trainer.save_model() does without a processing_class
    with pytest.raises(ModelError, match="--processor") as found:
        load_model(tmp_path)
    assert len(str(found.value)) < 800
    loaded = load_model(tmp_path, processor=saved("vit"))
    np.testing.assert_array_equal(predict(loaded, IMAGES).logits, predict(model, IMAGES).logits)


def test_a_timm_configuration_names_no_number_of_classes_twice(saved) -> None:
    content = json.loads((saved("timm") / "config.json").read_text())
    assert content["num_classes"] == 7
    assert create_model(saved("timm"), IMAGES, seed=0).config.num_labels == 4
