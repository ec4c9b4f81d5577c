"""SCRUB+R, LoTUS and Boundary Expand against what they are defined by."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from tests.tiny import tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.methods._accuracy import forget_accuracy
from unlearn_audit.methods.hooks import LossHook
from unlearn_audit.models import predict
from unlearn_audit.training import TrainingConfig, training_examples, unlearn

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
EXAMPLES = training_examples(tiny_resnet(IMAGES), IMAGES, FORGET, augment=False)
PLAIN = {
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "scheduler": "constant",
    "augment": False,
    "precision": "float32",
    "checkpoints": 0,
    "max_grad_norm": 0.0,
}


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def error(model: nn.Module) -> float:
    forgotten = IMAGES.select(FORGET.mask(IMAGES))
    return float((predict(model, forgotten).logits.argmax(axis=1) != forgotten.labels).mean())


class AfterEachEpoch(TrainerCallback):
    """Keeps the weights that the method's epochs end with, by steps of `lengths`."""

    def __init__(self, lengths: list[int]):
        self.ends, self.found = [sum(lengths[: e + 1]) for e in range(len(lengths))], []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step in self.ends:
            self.found.append(weights_of(model))


@pytest.mark.parametrize("rewind_to", [0.0, 0.5, 1.0])
def test_scrub_r_returns_the_epoch_whose_error_is_nearest(original, rewind_to: float) -> None:
    method = registry.load("scrub_rewind")(rewind_to=rewind_to, max_epochs=3, max_share=1.0, gamma=1.0)
    config = TrainingConfig(epochs=5, learning_rate=0.02, batch_size=28, **PLAIN)
    # Trainer's epochs are all of 3 steps: the last of ours is filled up.
    model, watch = copy.deepcopy(original), AfterEachEpoch([3, 3, 3, 2, 4])
    unlearn(model, IMAGES, FORGET, method, config, progress=False, callbacks=[watch])
    errors, other = [], copy.deepcopy(original)
    for weights in watch.found:
        other.load_state_dict(weights)
        errors.append(error(other))
    assert len(errors) == 5
    distances = [abs(e - rewind_to) for e in errors]
    chosen = max(e for e in range(5) if distances[e] == min(distances))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, watch.found[chosen][name]), name


def test_scrub_r_needs_the_weights_of_all_epochs(original, tmp_path) -> None:
    method = registry.load("scrub_rewind")()
    method.prepare(original, EXAMPLES)
    method.epoch, method._folder = 2, tmp_path
    with torch.no_grad(), pytest.raises(MethodError, match="after epoch 1"):
        method.finish(copy.deepcopy(original))
    with pytest.raises(ConfigurationError, match="rewind_to"):
        registry.load("scrub_rewind")(rewind_to=1.5)


def lotus(**options):
    method = registry.load("lotus")(**options)
    method.epoch = 1
    method._above = [0.9, 0.25]
    return method


def test_lotus_smooths_forget_targets_alone_by_the_temperature_of_the_epoch() -> None:
    known = torch.tensor([[2.0, 0.0, -1.0], [2.0, 0.0, -1.0]])
    found = lotus(alpha=4.0, noise=False).targets(known, torch.tensor([True, False]), torch.arange(2))
    soft = [math.exp(x / math.e) for x in (2.0, 0.0, -1.0)]  # τ = exp(4 · 0.25)
    torch.testing.assert_close(found[0], torch.tensor(soft) / sum(soft))
    plain = [math.exp(x) for x in (2.0, 0.0, -1.0)]
    torch.testing.assert_close(found[1], torch.tensor(plain) / sum(plain))


def test_lotus_draws_retain_targets_from_the_softmax_by_example_and_epoch() -> None:
    n, method = 4000, lotus()
    known = torch.tensor([1.0, 0.0, -1.0]).repeat(n, 1)
    index, retain = torch.arange(n), torch.zeros(n, dtype=torch.bool)
    drawn = method.targets(known, retain, index)
    assert set(drawn.flatten().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(dim=0), known[0].softmax(dim=0), atol=0.03, rtol=0)
    some = torch.tensor([7, 3])
    assert torch.equal(method.targets(known[:2], retain[:2], some), drawn[some])
    method.epoch = 0
    assert not torch.equal(method.targets(known, retain, index), drawn)
    soft = method.targets(known, ~retain, index)  # τ = exp(8 · 0.9): next to uniform
    torch.testing.assert_close(soft, torch.full((n, 3), 1 / 3), atol=0.01, rtol=0)


def test_lotus_measures_the_student_before_each_epoch_and_stops_where_it_has_forgotten(original, monkeypatch) -> None:
    known, measured, weights = iter([0.9, 0.4]), [], []

    def accuracy(model: nn.Module, examples) -> float:
        measured.append(weights_of(model))
        return next(known)

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            weights.append(weights_of(model))
            above.append(list(method._above))

    above: list[list[float]] = []
    method = registry.load("lotus")(unseen_accuracy=0.5, retain_share=1.0, alpha=2.0)
    monkeypatch.setattr("unlearn_audit.methods.lotus.forget_accuracy", accuracy)
    config = TrainingConfig(epochs=3, learning_rate=0.05, batch_size=64, **PLAIN)
    unlearn(model := copy.deepcopy(original), IMAGES, FORGET, method, config, progress=False, callbacks=[Watch()])
    assert above == [pytest.approx([0.4]), pytest.approx([0.4, -0.1])]  # one step an epoch; the third is not begun
    for name, tensor in model.state_dict().items():
        assert torch.equal(measured[0][name], original.state_dict()[name]), name
        assert torch.equal(measured[1][name], weights[0][name]), name
        assert torch.equal(tensor, weights[0][name]), name  # the step in which it stops moves nothing


@pytest.mark.parametrize("half", [False, True])
def test_the_accuracy_on_the_forget_set_is_that_of_predictions(original, half: bool) -> None:
    model = copy.deepcopy(original)
    if half:  # a bias by which every other class is told
        with torch.no_grad():
            model.timm_model.fc.bias[IMAGES.labels[FORGET.mask(IMAGES)][0]] += 100
    found: list[float] = []

    class Watch(TrainerCallback):
        def on_epoch_begin(self, args, state, control, model=None, **kwargs):
            found.append(forget_accuracy(model, EXAMPLES))

    config = TrainingConfig(epochs=1, learning_rate=0.05, batch_size=64, **PLAIN)
    expected = 1 - error(model)
    unlearn(model, IMAGES, FORGET, registry.load("finetune")(), config, progress=False, callbacks=[Watch()])
    assert found == [pytest.approx(expected)]
    assert not half or expected == 1.0


def test_boundary_expand_teaches_a_class_more_and_cuts_it_off(original) -> None:
    shapes, last = [], {}
    rows = EXAMPLES.forget_rows

    def of_the_fifth(model: nn.Module) -> float:
        with LossHook.on(model).paused(), torch.no_grad():
            said = model(pixel_values=EXAMPLES.batch(rows)["pixel_values"]).logits
        return float(said.softmax(dim=1)[:, 4].mean())

    class Watch(TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, **kwargs):
            assert torch.equal(model.timm_model.fc.weight[:4], original.timm_model.fc.weight)
            fifth.append(of_the_fifth(model))

        def on_step_end(self, args, state, control, model=None, **kwargs):
            shapes.append(tuple(model.timm_model.fc.weight.shape))
            last.update(weights_of(model))

        def on_epoch_end(self, args, state, control, model=None, **kwargs):
            fifth.append(of_the_fifth(model))

    fifth: list[float] = []
    model = copy.deepcopy(original)
    config = TrainingConfig(epochs=4, learning_rate=0.05, batch_size=8, **PLAIN)
    method = registry.load("boundary_expand")(freeze_batchnorm=True)
    unlearn(model, IMAGES, FORGET, method, config, progress=False, callbacks=[Watch()])
    assert set(shapes) == {(5, model.timm_model.fc.in_features)}
    assert fifth[-1] > fifth[0] + 0.2  # the new class is learned
    assert model.timm_model.fc.out_features == 4 and predict(model, IMAGES).logits.shape == (64, 4)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, last[name][: len(tensor)] if tensor.dim() else last[name]), name


def test_boundary_expand_asks_for_the_class_more_on_forget_examples_alone() -> None:
    logits = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    batch = {"labels": torch.tensor([1, 2]), "is_forget": torch.tensor([True, False])}
    found = registry.load("boundary_expand")().per_example_loss(logits, batch)
    torch.testing.assert_close(found, -logits.log_softmax(dim=1)[[0, 1], [4, 2]])
    with pytest.raises(ConfigurationError, match="saliency_share"):
        registry.load("boundary_expand")(saliency_share=0.5)
    frozen = tiny_resnet(IMAGES).requires_grad_(False)
    with pytest.raises(MethodError, match="classifier that trains"):
        registry.load("boundary_expand")().on_init_end(SimpleNamespace(), None, None, model=frozen)
