"""`fit` and `TrainingConfig`: resuming after kill -9, accumulation, the target accuracy, costs and mistakes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from tests.tiny import tiny_forget, tiny_images, tiny_resnet, tiny_vit
from unlearn_audit.errors import ConfigurationError, ModelError
from unlearn_audit.methods import registry
from unlearn_audit.models import Preprocessing, load_model, predict, save_model, weights_hash
from unlearn_audit.training import TrainingConfig, fit, unlearn
from unlearn_audit.training.checkpoints import last_checkpoint, run_folder, training_inputs
from unlearn_audit.training.running import example_dataset

IMAGES = tiny_images()
CONFIG = TrainingConfig(epochs=3, learning_rate=0.02, batch_size=16, precision="float32")
FAST = dataclasses.replace(CONFIG, flip="alternating", label_smoothing=0.2, batchnorm_bias_rate=8.0, warmup=0.2)
LTD = {"n_support": 16, "teacher_epochs": 1}


class KillAfter(TrainerCallback):
    """Ends the process as kill -9 does, inside an epoch."""

    def __init__(self, steps: int):
        self.steps = steps

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.steps:
            os.kill(os.getpid(), signal.SIGKILL)


def train(kind: str, folder: Path | None, callbacks=()) -> torch.nn.Module:
    if kind.startswith("fit"):
        config = FAST if kind == "fit fast" else CONFIG
        return fit(
            tiny_resnet(IMAGES), IMAGES, config, seed=1, output_dir=folder, progress=False, callbacks=callbacks
        ).model
    method = registry.load(kind)(**(LTD if kind == "local_teacher_distillation" else {}))
    forget, model = tiny_forget(IMAGES), tiny_resnet(IMAGES)
    options = {"output_dir": folder, "progress": False, "callbacks": callbacks}
    return unlearn(model, IMAGES, forget, method, CONFIG, **options).model


@pytest.mark.parametrize("kind", ["fit", "fit fast", "local_teacher_distillation", "scrub"])
@pytest.mark.slow
def test_killed_and_resumed_equals_unbroken(kind: str, quick_commands, tmp_path) -> None:
    environment = {**quick_commands, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run(["python", __file__, kind, str(tmp_path)], env=environment, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    (run,) = tmp_path.iterdir()
    assert last_checkpoint(run) is not None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed, unbroken = train(kind, tmp_path), train(kind, None)
    finally:
        torch.set_num_threads(threads)
    assert weights_hash(resumed) == weights_hash(unbroken)


def inputs_of(
    model=None, images=IMAGES, config=CONFIG, seed=1, method=None, *, forget=None, **selection
) -> dict[str, Any]:
    model = model or tiny_resnet(images)
    if forget is not None:
        selection["is_forget"] = forget.mask(images)
    return training_inputs(model, example_dataset(model, images, config, seed, **selection), config, seed, method)


def frozen(model: torch.nn.Module) -> torch.nn.Module:
    next(model.parameters()).requires_grad_(False)
    return model


def ltd(**options: Any) -> Any:
    return registry.load("local_teacher_distillation")(**LTD, **options)


OTHER_INPUTS = {
    "weights": lambda: inputs_of(tiny_resnet(IMAGES, seed=1)),
    "architecture": lambda: inputs_of(tiny_vit(IMAGES)),
    "what of the model is trained": lambda: inputs_of(frozen(tiny_resnet(IMAGES))),
    "images": lambda: inputs_of(images=tiny_images(seed=1)),
    "some of the images": lambda: inputs_of(images=IMAGES.select(np.arange(32))),
    "rows": lambda: inputs_of(rows=np.arange(32)),
    "rows in another order": lambda: inputs_of(rows=np.arange(64)[::-1].copy()),
    "forget set": lambda: inputs_of(forget=tiny_forget(IMAGES)),
    "epochs": lambda: inputs_of(config=dataclasses.replace(CONFIG, epochs=4)),
    "augmentation": lambda: inputs_of(config=dataclasses.replace(CONFIG, augment=False)),
    "flips": lambda: inputs_of(config=dataclasses.replace(CONFIG, flip="alternating")),
    "label smoothing": lambda: inputs_of(config=dataclasses.replace(CONFIG, label_smoothing=0.1)),
    "the rate of biases": lambda: inputs_of(config=dataclasses.replace(CONFIG, batchnorm_bias_rate=2.0)),
    "seed": lambda: inputs_of(seed=2),
    "method": lambda: inputs_of(method=registry.load("finetune")()),
    "another method": lambda: inputs_of(method=registry.load("gradient_ascent")()),
    "an option of the method": lambda: inputs_of(method=ltd(top_m=2)),
    "another option of the method": lambda: inputs_of(method=ltd(top_m=1)),
}


def test_each_set_of_inputs_has_a_folder_of_its_own_for_checkpoints(tmp_path) -> None:
    names = {what: run_folder(tmp_path, make()).name for what, make in OTHER_INPUTS.items()}
    assert len({run_folder(tmp_path, inputs_of()).name, *names.values()}) == len(OTHER_INPUTS) + 1
    assert run_folder(tmp_path, inputs_of()) == run_folder(tmp_path, inputs_of())


def test_what_changes_no_result_changes_no_folder(tmp_path) -> None:
    config = dataclasses.replace(CONFIG, checkpoints=3)
    assert run_folder(tmp_path, inputs_of()) == run_folder(tmp_path, inputs_of(config=config))
    elsewhere = inputs_of(method=ltd(teacher_folder=str(tmp_path)))
    assert run_folder(tmp_path, inputs_of(method=ltd())) == run_folder(tmp_path, elsewhere)


def test_a_run_s_folder_says_what_it_is_of(tmp_path) -> None:
    folder = run_folder(tmp_path, inputs_of())
    said = json.loads((folder / "inputs.json").read_text())
    assert said["seed"] == 1 and said["config"]["epochs"] == 3
    assert said["examples"]["data"] == IMAGES.fingerprint and str(tmp_path) not in json.dumps(said)


def test_a_retrained_model_never_sees_the_forget_set() -> None:
    forget = tiny_forget(IMAGES)
    clean = fit(tiny_vit(IMAGES), IMAGES, CONFIG, seed=0, forget=forget, progress=False)
    spoiled_pixels = IMAGES.pixels.copy()
    spoiled_pixels[forget.mask(IMAGES)] = 255
    original = IMAGES.pixels.copy()
    IMAGES.pixels[:] = spoiled_pixels
    try:
        again = fit(tiny_vit(IMAGES), IMAGES, CONFIG, seed=0, forget=forget, progress=False)
    finally:
        IMAGES.pixels[:] = original
    assert weights_hash(clean.model) == weights_hash(again.model)
    assert clean.examples == 3 * (len(IMAGES) - len(forget))


def test_accumulation_changes_nothing() -> None:
    whole = fit(tiny_vit(IMAGES), IMAGES, CONFIG, seed=0, progress=False)
    parts_config = TrainingConfig(
        epochs=3, learning_rate=0.02, batch_size=16, precision="float32", accumulation_steps=4
    )
    parts = fit(tiny_vit(IMAGES), IMAGES, parts_config, seed=0, progress=False)
    assert whole.steps == parts.steps == 12 and whole.examples == parts.examples == 3 * len(IMAGES)
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_fit_learns_and_stops_at_the_target_accuracy() -> None:
    config = TrainingConfig(epochs=40, learning_rate=0.1, batch_size=16, target_accuracy=0.95, augment=False)
    start = time.perf_counter()
    run = fit(tiny_resnet(IMAGES), IMAGES, config, seed=0, progress=False)
    wall = time.perf_counter() - start
    assert run.steps < 40 * 4 and run.steps % 4 == 0
    found = predict(run.model, IMAGES)
    assert np.mean(found.logits.argmax(axis=1) == IMAGES.labels) >= 0.95
    assert 0 < run.seconds <= wall and not run.model.training


def decayed_parameters(model: torch.nn.Module) -> set[str]:
    config = TrainingConfig(epochs=1, learning_rate=0.01, batch_size=16, weight_decay=0.5, precision="float32")
    found: set[str] = set()

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
            names = {id(p): name for name, p in model.named_parameters()}
            for group in optimizer.param_groups:
                if group["weight_decay"]:
                    found.update(names[id(p)] for p in group["params"])

    fit(model, IMAGES, config, seed=0, progress=False, callbacks=[Look()])
    return found


def test_biases_and_layer_norms_do_not_decay_but_batch_norms_do() -> None:
    model = tiny_resnet(IMAGES)
    assert decayed_parameters(model) == {name for name, _ in model.named_parameters() if not name.endswith("bias")}
    vit = tiny_vit(IMAGES)
    assert not [name for name in decayed_parameters(vit) if "norm" in name or name.endswith("bias")]


def slow_steps(model: torch.nn.Module, config: TrainingConfig, epochs: int) -> torch.nn.Module:
    """Train on all images at once, by gradients and momentum that are written out: plain SGD, one step an epoch."""
    pixels, labels = torch.from_numpy(IMAGES.pixels.copy()), torch.from_numpy(IMAGES.labels)
    batch = Preprocessing.of(model)(pixels)
    fast = {id(m.bias) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    model.train()
    for _ in range(epochs):
        logits = model(pixel_values=batch).logits
        target = torch.full_like(logits, config.label_smoothing / 4)
        target[torch.arange(len(labels)), labels] += 1 - config.label_smoothing
        loss = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
        names, parameters = zip(*model.named_parameters(), strict=True)
        with torch.no_grad():
            for name, p, gradient in zip(names, parameters, torch.autograd.grad(loss, parameters), strict=True):
                decay = 0.0 if name.endswith("bias") or "norm" in name else config.weight_decay
                rate = config.learning_rate * (config.batchnorm_bias_rate if id(p) in fast else 1)
                p -= rate * (gradient + decay * p)
    return model


@pytest.mark.parametrize("parts", [1, 4])
def test_label_smoothing_and_the_rate_of_biases_do_what_a_slow_loop_does(parts: int) -> None:
    settings = {"label_smoothing": 0.3, "batchnorm_bias_rate": 5.0, "weight_decay": 0.1, "learning_rate": 0.05}
    plain = {"batch_size": 64, "momentum": 0.0, "nesterov": False, "scheduler": "constant", "augment": False}
    config = TrainingConfig(epochs=3, precision="float32", accumulation_steps=parts, **settings, **plain)
    make = tiny_resnet if parts == 1 else tiny_vit  # BatchNorm sees the parts of a batch
    if parts > 1:
        config = dataclasses.replace(config, batchnorm_bias_rate=1.0)
    found = fit(make(IMAGES), IMAGES, config, seed=0, progress=False).model
    expected = slow_steps(make(IMAGES), config, epochs=3)
    untouched = make(IMAGES)
    for a, b, before in zip(found.parameters(), expected.parameters(), untouched.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        assert not torch.equal(b, before)


def test_a_rate_of_biases_needs_biases() -> None:
    config = dataclasses.replace(CONFIG, batchnorm_bias_rate=8.0)
    with pytest.raises(ModelError, match="biases of BatchNorm to train, for batchnorm_bias_rate=8, got one without"):
        fit(tiny_vit(IMAGES), IMAGES, config, seed=0, progress=False)


def test_an_unlearning_method_refuses_label_smoothing() -> None:
    config = dataclasses.replace(CONFIG, label_smoothing=0.1)
    with pytest.raises(Exception, match="label_smoothing_factor"):
        unlearn(tiny_resnet(IMAGES), IMAGES, tiny_forget(IMAGES), registry.load("finetune")(), config, progress=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -1),
        ("learning_rate", -1.0),
        ("batch_size", 0),
        ("accumulation_steps", 0),
        ("optimizer", "adam"),
        ("scheduler", "step"),
        ("flip", "vertical"),
        ("label_smoothing", 1.0),
        ("batchnorm_bias_rate", -1.0),
        ("warmup", 1.0),
        ("precision", "float16"),
        ("checkpoints", -1),
    ],
)
def test_wrong_settings_are_named(name: str, value) -> None:
    with pytest.raises(ConfigurationError, match=f"Expected {name} to be"):
        TrainingConfig(**{name: value})


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="share equally, got 10"):
        TrainingConfig(batch_size=10, accumulation_steps=4).arguments(tmp_path, 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1], Path(sys.argv[2]), [KillAfter(7)])


def test_a_training_whose_weights_are_not_finite_ends_with_an_error() -> None:
    wild = TrainingConfig(epochs=3, learning_rate=1e30, batch_size=16, precision="float32", checkpoints=0)
    with pytest.raises(ModelError, match="finite weights, got NaN or infinity"):
        fit(tiny_resnet(IMAGES), IMAGES, wild, seed=0, progress=False)


def test_a_model_that_was_trained_in_bfloat16_predicts_as_the_same_one_that_was_saved(tmp_path) -> None:
    images = tiny_images()
    config = TrainingConfig(epochs=1, batch_size=16, precision="bfloat16", checkpoints=0)
    model = fit(tiny_resnet(images), images, config, seed=0, progress=False).model
    save_model(model, tmp_path / "model")
    own, other = (predict(each, images, precision="float32").logits for each in (model, load_model(tmp_path / "model")))
    np.testing.assert_array_equal(own, other)
