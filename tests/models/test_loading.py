"""Models: sizes, round trips through stock classes, foreign models, embeddings, hashes and errors."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    MobileViTImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from tests.tiny import CLASSES, tiny_forget, tiny_images, tiny_resnet, tiny_vit
from unlearn_audit.errors import ModelError
from unlearn_audit.methods import registry
from unlearn_audit.models import create_model, load_model, predict, save_model, weights_hash, with_processor
from unlearn_audit.models.loading import classifier
from unlearn_audit.training import TrainingConfig, unlearn

IMAGES = tiny_images(16)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def resnet_size(depth: int, classes: int, *, projections: bool) -> int:
    """Weights of a CIFAR ResNet by He et al., layer by layer."""
    n, width = (depth - 2) // 6, (16, 32, 64)
    total = 3 * 16 * 9 + 2 * 16
    before = 16
    for stage in width:
        for block in range(n):
            entering = before if block == 0 else stage
            total += entering * stage * 9 + stage * stage * 9 + 4 * stage
            if projections and entering != stage:
                total += entering * stage + 2 * stage
        before = stage
    return total + 64 * classes + classes


@pytest.mark.parametrize(("depth", "millions"), [(8, 0.08), (20, 0.27), (56, 0.85), (110, 1.73)])
def test_resnets_have_the_papers_size(depth: int, millions: float) -> None:
    import timm

    from unlearn_audit.models import cifar_resnet  # noqa: F401 - registers them

    model = timm.create_model(f"resnet{depth}")
    assert parameters(model) == resnet_size(depth, 10, projections=False)
    assert parameters(model) / 1e6 == pytest.approx(millions, abs=0.006)
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in model.modules())
    assert convolutions + 1 == depth


def test_option_b_adds_projections_and_a_wrong_option_is_named() -> None:
    model = create_model("resnet20", IMAGES, seed=0, shortcut="B")
    assert parameters(model) == resnet_size(20, CLASSES, projections=True)
    with pytest.raises(ModelError, match="shortcut"):
        create_model("resnet20", IMAGES, seed=0, shortcut="C")


def test_option_a_subsamples_and_pads_with_zeros() -> None:
    from unlearn_audit.models.cifar_resnet import PadShortcut

    x = torch.randn(2, 4, 6, 6)
    y = PadShortcut(4, 8)(x)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert not y[:, :2].any() and not y[:, 6:].any()


def hf_vit() -> ViTForImageClassification:
    torch.manual_seed(0)
    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    return ViTForImageClassification(ViTConfig(**sizes, intermediate_size=16, num_labels=CLASSES))


def hf_resnet() -> ResNetForImageClassification:
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    return ResNetForImageClassification(ResNetConfig(**sizes, num_labels=CLASSES))


def saved_with_processor(model, folder: Path) -> Path:
    model.save_pretrained(folder)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=mean, image_std=std).save_pretrained(folder)
    return folder


BUILT = {
    "resnet8": lambda: tiny_resnet(IMAGES),
    "cnn3": lambda: create_model("cnn3", IMAGES, seed=0),
    "vit_tiny_patch4": lambda: tiny_vit(IMAGES),
    "timm resnet18": lambda: create_model("resnet18", IMAGES, seed=0, output_stride=8),
}


@pytest.mark.parametrize("name", BUILT)
def test_saved_and_loaded_models_predict_bit_for_bit_the_same(name: str, tmp_path) -> None:
    model = BUILT[name]()
    before = predict(model, IMAGES)
    save_model(model, tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded = load_model(tmp_path)
    after = predict(loaded, IMAGES)
    np.testing.assert_array_equal(before.logits, after.logits)
    np.testing.assert_array_equal(before.embeddings, after.embeddings)
    assert weights_hash(model) == weights_hash(loaded) == after.metadata["weights_hash"]
    assert loaded.config.id2label == dict(enumerate("abcd"))


@pytest.mark.slow
def test_a_fresh_process_loads_through_the_stock_class(tmp_path) -> None:
    model = tiny_resnet(IMAGES)
    save_model(model, tmp_path / "saved")
    code = (
        "import sys, unlearn_audit.models as models\n"
        "from transformers import AutoModelForImageClassification\n"
        "print(models.weights_hash(AutoModelForImageClassification.from_pretrained(sys.argv[1])))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "saved")]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert found.stdout.strip() == weights_hash(model)


@pytest.mark.parametrize("build", [hf_vit, hf_resnet])
def test_hf_models_are_loaded_with_their_own_normalisation(build, tmp_path) -> None:
    model = load_model(saved_with_processor(build(), tmp_path))
    found = predict(model, IMAGES)
    values = (IMAGES.pixels / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]
    pixels = torch.tensor(values.transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        expected = build().eval()(pixel_values=pixels).logits.numpy()
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)


@pytest.mark.parametrize("name", [*BUILT, "hf_vit", "hf_resnet"])
def test_embeddings_are_the_classifiers_input(name: str, tmp_path) -> None:
    hf = {"hf_vit": hf_vit, "hf_resnet": hf_resnet}
    model = load_model(saved_with_processor(hf[name](), tmp_path)) if name in hf else BUILT[name]()
    found = predict(model, IMAGES, batch_size=5)
    layer = classifier(model)
    weight, bias = layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()
    np.testing.assert_allclose(found.embeddings @ weight.T + bias, found.logits, atol=2e-5)


def test_larger_images_go_through_the_processor(tmp_path) -> None:
    from PIL import Image

    large = tiny_images(6, size=20)
    folder = saved_with_processor(hf_vit(), tmp_path)
    found = predict(load_model(folder), large)
    processor = ViTImageProcessor.from_pretrained(folder)
    pixels = processor([Image.fromarray(p) for p in large.pixels], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = hf_vit().eval()(pixel_values=pixels).logits.numpy()
    assert found.logits.shape == (6, CLASSES)
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)


PROCESSORS = {
    "scales without normalising": lambda: ViTImageProcessor(size={"height": 8, "width": 8}, do_normalize=False),
    "scales to [-1, 1] by its factor": lambda: ViTImageProcessor(
        size={"height": 8, "width": 8}, rescale_factor=1 / 127.5, image_mean=[1.0] * 3, image_std=[1.0] * 3
    ),
    "turns RGB into BGR": lambda: MobileViTImageProcessor(
        size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}
    ),
    "does not scale": lambda: ViTImageProcessor(size={"height": 8, "width": 8}, do_rescale=False),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_whatever_a_processor_does_to_pixels_is_done(name: str, tmp_path) -> None:
    from PIL import Image

    processor = PROCESSORS[name]()
    model = with_processor(hf_vit(), processor)
    pixels = processor([Image.fromarray(p) for p in IMAGES.pixels], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = hf_vit().eval()(pixel_values=pixels).logits.numpy()
    np.testing.assert_allclose(predict(model, IMAGES).logits, expected, atol=1e-5)
    save_model(model, tmp_path)
    np.testing.assert_allclose(predict(load_model(tmp_path), IMAGES).logits, expected, atol=1e-5)


def test_prediction_leaves_the_mode_and_knows_no_batch_size() -> None:
    model = tiny_resnet(IMAGES).train()
    before = weights_hash(model)
    whole = predict(model, IMAGES)
    assert model.training and weights_hash(model) == before
    np.testing.assert_allclose(predict(model, IMAGES, batch_size=3).logits, whole.logits, atol=1e-5)
    assert predict(model, IMAGES, embeddings=False).embeddings is None
    assert whole.example_ids.tolist() == IMAGES.ids.tolist() and set(whole.splits) == {"train"}


@pytest.mark.parametrize(("threads", "sizes"), [(1, [64, 36]), (2, [100])])
def test_one_thread_predicts_in_small_batches_and_says_the_same(threads, sizes, monkeypatch) -> None:
    many = np.tile(IMAGES.pixels, (100 // len(IMAGES) + 1, 1, 1, 1))[:100]
    labels, ids = np.resize(IMAGES.labels, 100), np.array([f"image-{row}" for row in range(100)])
    images = dataclasses.replace(IMAGES, ids=ids, pixels=many, labels=labels, columns={}, fingerprint="")
    model, seen = tiny_resnet(images), []
    model.register_forward_pre_hook(lambda _, __, given: seen.append(len(given["pixel_values"])), with_kwargs=True)
    whole = predict(model, images, batch_size=100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert np.array_equal(predict(model, images).logits, whole.logits)
    assert seen == [100, *sizes]


def test_a_loaded_original_can_unlearn_with_a_local_teacher(tmp_path) -> None:
    save_model(tiny_resnet(IMAGES), tmp_path)
    model = load_model(tmp_path)
    before = weights_hash(model)
    method = registry.load("local_teacher_distillation")(n_support=8, teacher_epochs=1)
    config = TrainingConfig(epochs=1, batch_size=8, learning_rate=0.01)
    unlearn(model, IMAGES, tiny_forget(IMAGES), method, config, progress=False)
    assert weights_hash(model) != before


def test_the_seed_decides_the_weights_and_the_hash_sees_one_of_them() -> None:
    assert weights_hash(tiny_resnet(IMAGES)) == weights_hash(tiny_resnet(IMAGES))
    assert weights_hash(tiny_resnet(IMAGES)) != weights_hash(tiny_resnet(IMAGES, seed=1))
    model = tiny_resnet(IMAGES)
    before = weights_hash(model)
    dict(model.named_buffers())["timm_model.bn1.running_mean"][0] += 1e-6
    assert weights_hash(model) != before


def test_a_model_with_fewer_outputs_than_classes_is_refused_before_it_is_used() -> None:
    from unlearn_audit.training import fit

    model = create_model("resnet8", dataclasses.replace(IMAGES, class_names=("a", "b", "c")), seed=0)
    with pytest.raises(ModelError, match="each of the 4 classes of tiny, got one with 3"):
        predict(model, IMAGES)
    with pytest.raises(ModelError, match="each of the 4 classes"):
        fit(model, IMAGES, TrainingConfig(epochs=1, batch_size=8), seed=0, progress=False)


def without(*names: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in names:
            del tensors[name]

    return change


def with_one_more(tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.of.another.weight"] = torch.zeros(3)


def with_other_shape(name: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = tensors[name][:-1].clone()

    return change


DAMAGES = {
    "a layer of a timm model is missing": ("resnet8", without("timm_model.conv1.weight"), "conv1.weight is missing"),
    "statistics are missing": ("resnet8", without("timm_model.bn1.running_mean"), "bn1.running_mean is missing"),
    "the head is missing": ("hf_vit", without("classifier.weight", "classifier.bias"), "classifier.bias is missing; "),
    "a tensor is left over": ("hf_resnet", with_one_more, "head.of.another.weight is not of this architecture"),
    "a tensor of timm is left over": ("resnet8", with_one_more, "is not of this architecture"),
    "a tensor has another shape": ("hf_vit", with_other_shape("vit.layernorm.weight"), r"layernorm.weight.*\(11,\)"),
    "a head has fewer labels": ("resnet8", with_other_shape("timm_model.fc.bias"), r"\(3,\) where .* says \(4,\)"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fill_the_model_are_refused(damage: str, tmp_path) -> None:
    name, change, message = DAMAGES[damage]
    path = saved(name, tmp_path) / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"Expected weights for every layer.*{message}"):
        load_model(tmp_path)


def saved(name: str, folder: Path) -> Path:
    if name in BUILT:
        save_model(BUILT[name](), folder)
        return folder
    return saved_with_processor({"hf_vit": hf_vit, "hf_resnet": hf_resnet}[name](), folder)


@pytest.mark.parametrize("name", ["resnet8", "hf_resnet"])
def test_counters_that_change_no_prediction_may_be_missing(name: str, tmp_path) -> None:
    path = saved(name, tmp_path) / "model.safetensors"
    before = predict(load_model(tmp_path), IMAGES)
    tensors = {name: tensor for name, tensor in load_file(path).items() if "num_batches_tracked" not in name}
    save_file({**tensors, "position_ids": torch.arange(3)}, path, metadata={"format": "pt"})
    np.testing.assert_array_equal(predict(load_model(tmp_path), IMAGES).logits, before.logits)


@pytest.mark.parametrize("name", ["resnet8", "hf_vit"])
def test_a_configuration_with_another_number_of_labels_is_refused(name: str, tmp_path) -> None:
    path = saved(name, tmp_path) / "config.json"
    content = json.loads(path.read_text()) | {"num_labels": 5, "num_classes": 5}
    content |= {"id2label": {str(k): str(k) for k in range(5)}, "label2id": {str(k): k for k in range(5)}}
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"has the shape \(4,\) where the configuration says \(5,\)"):
        load_model(tmp_path)


@pytest.mark.parametrize("length", [0, 5, 100, -7])
def test_a_torn_file_of_weights_is_an_error_in_words(length: int, tmp_path) -> None:
    path = saved("resnet8", tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelError, match="Expected a folder or Hub id"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"])
def test_a_torn_configuration_is_an_error_in_words(name: str, text: str, tmp_path) -> None:
    (saved("hf_vit", tmp_path) / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match="Expected"):
        load_model(tmp_path)


def test_errors_name_what_came_and_what_to_do(tmp_path) -> None:
    with pytest.raises(ModelError, match="resnet20"):
        create_model("resnt20", IMAGES, seed=0)
    with pytest.raises(ModelError, match="cannot be built with"):
        create_model("resnet8", IMAGES, seed=0, widht=4)
    with pytest.raises(ModelError, match="Expected a folder or Hub id"):
        load_model(tmp_path / "nothing")
    pickled = saved_with_processor(hf_vit(), tmp_path)
    (pickled / "model.safetensors").unlink()
    torch.save(hf_vit().state_dict(), pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_model(pickled)
    with pytest.raises(ModelError, match="linear layer with 5 outputs"):
        model = tiny_resnet(IMAGES)
        model.config.num_labels = 5
        predict(model, IMAGES)
