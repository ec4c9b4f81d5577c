"""Local teachers of every kind: trained on the support alone, and shown what the student is shown."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import TrainerCallback, ViTConfig, ViTForImageClassification, ViTImageProcessor

from tests.tiny import CLASSES, tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.methods import registry
from unlearn_audit.methods._teacher_training import StepDown, StopAtRunningAccuracy
from unlearn_audit.methods.local_teacher_distillation import LocalTeacherDistillation
from unlearn_audit.models import Preprocessing, load_model, weights_hash
from unlearn_audit.training import TrainingConfig, fit, training_examples, unlearn

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
CONFIG = TrainingConfig(epochs=1, learning_rate=0.01, batch_size=16, precision="float32")
KINDS = {"resnet8": None, "cnn3": None, "linear": None, "mlp": None, "reset": None, "vit_tiny_patch4": 4}


def prepared(original, **options) -> LocalTeacherDistillation:
    method = registry.load("local_teacher_distillation")(**{"n_support": 16, "teacher_epochs": 2, **options})
    method.prepare(original, training_examples(original, IMAGES, FORGET))
    return method


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_teacher_teaches_and_leaves_the_original_alone(kind: str) -> None:
    original = tiny_resnet(IMAGES)
    before = weights_hash(original)
    method = prepared(original, teacher=kind, teacher_depth=KINDS[kind])
    assert weights_hash(original) == before
    assert not method._teacher.training
    batch = training_examples(original, IMAGES, FORGET).batch(torch.arange(len(IMAGES)))
    targets = method.targets(batch, batch["is_forget"])
    assert targets.shape == (len(FORGET), CLASSES)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(len(FORGET)))
    assert ((targets > 0).sum(dim=1) <= 3).all()


def test_a_vit_teacher_has_the_depth_asked_for() -> None:
    method = prepared(tiny_resnet(IMAGES), teacher="vit_tiny_patch4", teacher_depth=4)
    assert len(method._teacher.timm_model.blocks) == 4
    assert method.teacher_config().optimizer == "adamw" and method.teacher_config().scheduler == "cosine"


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_authors_teacher_has_convolutions_where_the_map_is_halved(shortcut: str) -> None:
    teacher = prepared(tiny_resnet(IMAGES), teacher_shortcut=shortcut)._teacher
    convolutions = [module.kernel_size for module in teacher.modules() if isinstance(module, torch.nn.Conv2d)]
    assert convolutions.count((3, 3)) == 7
    assert convolutions.count((1, 1)) == (2 if shortcut == "B" else 0)


@pytest.mark.parametrize(("target", "epochs"), [(0.01, 1), (0.4, None), (1.1, 6)])
def test_the_teacher_stops_at_what_it_got_right_on_its_own_batches(target: float, epochs: int | None) -> None:
    """The running accuracy is that of the passes which gradients were taken of, not of an evaluation afterwards."""
    shares = []

    class Watch(TrainerCallback):
        def on_epoch_begin(self, args, state, control, **kwargs):
            shares.append([])

    model = tiny_resnet(IMAGES)
    handle = model.register_forward_hook(
        lambda m, a, kwargs, output: shares[-1].append(output.logits.argmax(1) == kwargs["labels"]), with_kwargs=True
    )
    config = dataclasses.replace(CONFIG, epochs=6, learning_rate=0.1)
    fit(model, IMAGES, config, seed=0, progress=False, callbacks=[Watch(), StopAtRunningAccuracy(target)])
    handle.remove()
    running = [torch.cat(share).float().mean().item() for share in shares]
    assert all(accuracy < target for accuracy in running[:-1])
    assert len(running) == epochs if epochs else running[-1] >= target and len(running) < 6
    assert not model._forward_hooks


def test_the_teacher_s_rate_falls_to_a_tenth_after_its_epoch() -> None:
    used = []

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            used.append(optimizer.param_groups[0]["lr"])

    config = dataclasses.replace(CONFIG, epochs=4, batch_size=32, scheduler="constant")
    fit(tiny_resnet(IMAGES), IMAGES, config, seed=0, progress=False, callbacks=[Watch(), StepDown(2, 0.1)])
    assert used == pytest.approx([0.01] * 4 + [0.001] * 4)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_head_moves_nothing_of_the_original_body(kind: str) -> None:
    original = tiny_resnet(IMAGES)
    body = {name: t.clone() for name, t in original.state_dict().items() if ".fc." not in name}
    teacher = prepared(original, teacher=kind)._teacher.state_dict()
    for name, tensor in body.items():
        assert torch.equal(teacher[name], tensor), name


def test_a_reset_teacher_learns_its_last_third_anew_and_keeps_the_rest() -> None:
    original = tiny_resnet(IMAGES)
    method = registry.load("anchored_local_distillation")(teacher="reset", teachers=1, n_support=16, teacher_epochs=1)
    method.prepare(original, training_examples(original, IMAGES, FORGET))
    (teacher,) = method._teachers
    same = [
        torch.equal(a, b) for a, b in zip(teacher.state_dict().values(), original.state_dict().values(), strict=True)
    ]
    first = same.index(False)
    assert 0.5 < first / len(same) < 0.8  # buffers of BatchNorm included
    assert not any(
        torch.equal(a, b)
        for a, b in list(zip(teacher.parameters(), original.parameters(), strict=True))[-4:]
        if a.ndim > 1
    )


@pytest.mark.parametrize("kind", ["cnn3", "linear"])
def test_the_teacher_never_sees_the_forget_set_nor_examples_outside_its_support(kind: str, monkeypatch) -> None:
    from unlearn_audit.methods import _teachers as module

    seen = []
    fit = module.fit
    monkeypatch.setattr(
        module, "fit", lambda teacher, images, *a, **k: seen.append(images) or fit(teacher, images, *a, **k)
    )
    prepared(tiny_resnet(IMAGES), teacher=kind, n_support=12)
    (images,) = seen
    assert len(set(images.ids)) == 12 and not set(images.ids) & set(FORGET.ids)


@pytest.mark.parametrize("kind", ["resnet8", "cnn3", "linear"])
def test_a_teacher_is_trained_on_pixels_normalised_as_the_original_takes_them(kind: str, tmp_path) -> None:
    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    ViTForImageClassification(ViTConfig(**sizes, intermediate_size=16, num_labels=CLASSES)).save_pretrained(tmp_path)
    mean, std = [0.1, 0.2, 0.3], [0.6, 0.7, 0.8]
    ViTImageProcessor(size={"height": 8, "width": 8}, image_mean=mean, image_std=std).save_pretrained(tmp_path)
    original = load_model(tmp_path)
    teacher = prepared(original, teacher=kind)._teacher
    pixels = torch.tensor(IMAGES.pixels)
    torch.testing.assert_close(Preprocessing.of(teacher)(pixels), Preprocessing.of(original)(pixels))


@pytest.mark.parametrize(
    ("mode", "support", "retain"),
    [
        ("top", "nearest", "farthest"),
        ("soft", "farthest", "random"),
        ("hard", "random", "nearest"),
        ("threshold", "nearest", "nearest"),
    ],
)
def test_every_mode_support_and_retain_choice_unlearns(mode: str, support: str, retain: str) -> None:
    model = tiny_resnet(IMAGES)
    before = weights_hash(model)
    options = {"teacher": "linear", "targets_from": mode, "support": support, "retain_choice": retain}
    method = registry.load("local_teacher_distillation")(n_support=16, teacher_epochs=1, retain_share=0.5, **options)
    run = unlearn(model, IMAGES, FORGET, method, CONFIG, progress=False)
    assert weights_hash(run.model) != before
    assert run.examples == len(FORGET) + round(0.5 * (len(IMAGES) - len(FORGET)))


def test_an_unknown_teacher_is_named() -> None:
    with pytest.raises(ConfigurationError, match="resnet8"):
        prepared(tiny_resnet(IMAGES), teacher="resnt8")
