"""Methods with steps of their own against closed forms: SCRUB and NegGrad+."""

from __future__ import annotations

import copy
from types import MappingProxyType

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from tests.tiny import tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.data.steps import Step
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.models import predict, weights_hash
from unlearn_audit.training import TrainingConfig, training_examples, unlearn

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
PLAIN = {
    "optimizer": "sgd",
    "momentum": 0.0,
    "nesterov": False,
    "weight_decay": 0.0,
    "scheduler": "constant",
    "augment": False,
    "precision": "float32",
    "checkpoints": 0,
}


def phases_of(method, size: int, epochs: int) -> list[list[tuple[str, int]]]:
    examples = training_examples(tiny_resnet(IMAGES), IMAGES, FORGET)
    return [[(step.phase, len(step.rows)) for step in method.steps(examples, epoch, size)] for epoch in range(epochs)]


@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_neggrad_plus_weighs_the_means_of_both_sets_in_one_step(original, accumulation: int) -> None:
    """One step of plain SGD on all examples, against the gradient of α mean CE − (1 − α) mean CE itself."""
    forget = FORGET.mask(IMAGES)
    method = registry.load("neggrad_plus")(alpha=0.7)
    model = copy.deepcopy(original)
    config = TrainingConfig(epochs=1, learning_rate=0.1, batch_size=64, accumulation_steps=accumulation, **PLAIN)
    run = unlearn(model, IMAGES, FORGET, method, config, progress=False)
    assert (run.steps, run.examples) == (1, 64)
    expected = copy.deepcopy(original).eval()
    batch = training_examples(expected, IMAGES, FORGET, augment=False).batch(torch.arange(64))
    loss = nn.functional.cross_entropy(
        expected(pixel_values=batch["pixel_values"]).logits, batch["labels"], reduction="none"
    )
    (0.7 * loss[~forget].mean() - 0.3 * loss[forget].mean()).backward()
    for name, parameter in expected.named_parameters():
        after = parameter.detach() - 0.1 * parameter.grad
        torch.testing.assert_close(model.get_parameter(name).detach(), after, rtol=1e-4, atol=1e-6)


def test_neggrad_plus_passes_once_over_the_retain_set_and_round_the_forget_set() -> None:
    assert phases_of(registry.load("neggrad_plus")(), 16, 1) == [[("both", 16)] * 7]
    assert phases_of(registry.load("neggrad_plus")(), 32, 1) == [[("both", 32), ("both", 32), ("both", 16)]]
    assert phases_of(registry.load("neggrad_plus")(), 8, 1) == [[("both", 8)] * 14]


def test_scrub_maximises_before_it_minimises_and_only_in_its_first_epochs() -> None:
    most, least = [("max", 4)] * 2, [("min", 28)] * 2
    options = {"max_epochs": 2, "max_share": 1 / 7}
    assert phases_of(registry.load("scrub")(**options), 28, 3) == [most + least, most + least, least]
    assert phases_of(registry.load("scrub")(**options, start="min"), 28, 3) == [least + most, least + most, least]
    assert phases_of(registry.load("scrub")(max_epochs=0), 28, 2) == [least, least]


@pytest.mark.parametrize("phase", ["max", "min"])
def test_scrub_s_loss_sums_the_divergence_over_classes(original, phase: str) -> None:
    examples = training_examples(original, IMAGES, FORGET, augment=False)
    method = registry.load("scrub")(gamma=0.9, alpha=0.2, temperature=3.0)
    method.prepare(original, examples)
    method.step = Step(phase, ())
    batch = examples.batch(torch.arange(12))
    logits = np.random.default_rng(0).normal(size=(12, 4))
    with torch.no_grad():
        said = original(pixel_values=batch["pixel_values"]).logits.double().numpy()
    p = softmax(said / 3.0, axis=1)
    divergence = 9.0 * (p * (log_softmax(said / 3.0, axis=1) - log_softmax(logits / 3.0, axis=1))).sum(axis=1)
    label = -log_softmax(logits, axis=1)[np.arange(12), batch["labels"].numpy()]
    expected = -divergence if phase == "max" else 0.9 * label + 0.2 * divergence
    found = method.per_example_loss(torch.tensor(logits), batch)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_scrub_leaves_its_teacher_and_drives_the_forget_set_away(original) -> None:
    """Where only the first phase counts, the divergence from the original on the forget set grows."""
    forgotten = IMAGES.select(FORGET.mask(IMAGES))
    p = softmax(predict(original, forgotten).logits, axis=1)
    found = []
    for epochs in (1, 4):
        method = registry.load("scrub")(gamma=0.0, alpha=0.0, max_epochs=4, freeze_batchnorm=False)
        model = copy.deepcopy(original)
        config = TrainingConfig(epochs=epochs, learning_rate=0.01, batch_size=32, **PLAIN)
        change = unlearn(model, IMAGES, FORGET, method, config, progress=False).change
        assert weights_hash(method._original) == weights_hash(original) != weights_hash(model)
        q = softmax(predict(model, forgotten).logits, axis=1)
        assert change.predictions == pytest.approx(np.abs(p - q).sum(axis=1).mean() / 2, rel=1e-4)
        found.append((p * np.log(p / q)).sum(axis=1).mean())
    assert 0 < found[0] < found[1]


def test_the_change_of_weights_is_relative_to_their_size(original) -> None:
    model = copy.deepcopy(original)
    config = TrainingConfig(epochs=1, learning_rate=0.05, batch_size=32, **PLAIN)
    change = unlearn(model, IMAGES, FORGET, registry.load("finetune")(), config, progress=False).change
    before, after = (torch.cat([p.detach().flatten() for p in each.parameters()]) for each in (original, model))
    assert change.weights == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)


class _Rates(registry.load("scrub")):
    """SCRUB with a rate of its own where it maximises, and a shift of all weights at the end."""

    phase_rates = MappingProxyType({"max": 0.5})

    def finish(self, model):
        for parameter in model.parameters():
            parameter.add_(1.0)


def test_rates_by_phase_are_put_back_and_finish_comes_last(original) -> None:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            restored.append(optimizer.param_groups[0]["lr"])

    restored, used, seen = [], [], []
    method = _Rates()
    step = torch.optim.SGD.step
    config = TrainingConfig(epochs=1, learning_rate=0.01, batch_size=32, **PLAIN)
    model = copy.deepcopy(original)

    def spied(self, *args, **kwargs):
        used.append(self.param_groups[0]["lr"])
        seen.append(method.step.phase)
        return step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", spied)
        change = unlearn(model, IMAGES, FORGET, method, config, progress=False, callbacks=[Watch()]).change
    assert seen == ["max", "min", "min"] and used == [0.005, 0.01, 0.01] and restored == [0.01] * 3
    assert change.weights > 1


def test_what_steps_need_is_told(original, tmp_path) -> None:
    from transformers import Trainer, TrainingArguments

    for name in ("scrub", "neggrad_plus"):
        with pytest.raises(ConfigurationError, match="order"):
            registry.load(name)(order="forget_first")
        examples = training_examples(original, IMAGES, FORGET)
        arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
        trainer = Trainer(copy.deepcopy(original), arguments, train_dataset=examples, callbacks=[registry.load(name)()])
        with pytest.raises(MethodError, match=r"method\.prepare.*lists the steps"):
            trainer.train()
