"""Methods whose targets or inputs come from noise and boundaries: closed forms on linear models, and their plans."""

from __future__ import annotations

import copy
import math
import warnings
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.methods.test_copies_and_edits import Linear
from tests.methods.test_edits_and_repairs import (
    CPU,
    EXAMPLES,
    FORGET,
    FORGET_ROWS,
    IMAGES,
    RETAIN_ROWS,
    gradient,
    logits_of,
)
from tests.tiny import tiny_resnet
from unlearn_audit.data import ForgetSet
from unlearn_audit.data.randomness import normal
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.methods.hooks import LossHook
from unlearn_audit.models import weights_hash
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.training import TrainingConfig, training_examples, unlearn


class TwoClasses(nn.Module):
    """Says class 1 where w · pixels > threshold; takes views that are normalised by 0.5 and 0.25."""

    def __init__(self, w: torch.Tensor, threshold: float):
        super().__init__()
        self.w = nn.Parameter(w)
        self.threshold = threshold
        Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, size=(4, 4)).attach(self)

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        score = ((pixel_values * 0.25 + 0.5) * self.w).sum(dim=(1, 2, 3)) - self.threshold
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(score), score], dim=1))


@pytest.mark.parametrize(("margin", "said"), [(0.9, 1), (1.1, 0)])
def test_a_boundary_is_crossed_where_it_is_nearer_than_the_step_in_pixels(margin: float, said: int) -> None:
    """A step of sign(w) · radius changes the score by radius · ‖w‖₁."""
    w = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    reach = 0.1 * float(w.abs().sum())
    pixels = torch.full((1, 3, 4, 4), 0.5)
    method = registry.load("boundary_shrink")()
    method._original = TwoClasses(w, float((pixels * w).sum()) + margin * reach).requires_grad_(False)
    found = method.targets((pixels - 0.5) / 0.25, torch.tensor([0]))
    assert found.tolist() == [said]


def test_boundary_targets_are_the_original_s_and_what_cannot_cross_is_counted(original) -> None:
    model = copy.deepcopy(original)
    with torch.no_grad():
        right = int((logits_of(model, FORGET_ROWS)[0].argmax(dim=1) == 1).sum())
        model.get_parameter("timm_model.fc.bias")[1] += 100.0 * (right == 0)  # some at least
        right = right or len(FORGET_ROWS)
    with pytest.warns(UserWarning, match=f"{right} of 8 forget examples keep their label"):
        registry.load("boundary_shrink")(radius=1e-9).prepare(model, EXAMPLES)
    method = registry.load("boundary_shrink")(radius=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method.prepare(model, EXAMPLES)
    batch = EXAMPLES.batch(FORGET_ROWS)
    before = method.targets(batch["pixel_values"], batch["labels"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert torch.equal(method.targets(batch["pixel_values"], batch["labels"]), before)  # not the student's
    logits = torch.randn(len(FORGET_ROWS), 4, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.cross_entropy(logits, before, reduction="none")
    torch.testing.assert_close(method.per_example_loss(logits, batch), expected)


def test_noise_maximises_the_loss_and_leaves_the_model_alone(original) -> None:
    model = copy.deepcopy(original)
    with torch.no_grad():
        model.get_parameter("timm_model.fc.weight").mul_(30.0)  # surer than the penalty on the noise is strong
    before, buffers = weights_hash(model), [b.clone() for b in model.buffers()]
    method = registry.load("unsir")(partial=True, noises=8, noise_steps=40)
    method.prepare(model, training_examples(model, IMAGES, FORGET))
    start = torch.randn((8, 3, 8, 8), generator=torch.Generator().manual_seed((0 << 16) + 1))
    assert list(method._noise) == [1]
    with torch.no_grad():
        said = [model(pixel_values=views).logits.log_softmax(dim=1)[:, 1].mean() for views in (start, method._noise[1])]
    assert said[1] < said[0] - 0.1
    assert float(method._noise[1].norm()) < float(start.norm())
    assert weights_hash(model) == before and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))


def test_forget_pixels_never_reach_the_model_and_classes_with_kept_examples_are_refused() -> None:
    model = tiny_resnet(IMAGES)
    method = registry.load("unsir")(partial=True, noises=3, noise_steps=1)
    examples = training_examples(model, IMAGES, FORGET, augment=False)
    method.prepare(model, examples)
    batch = examples.batch(torch.cat([FORGET_ROWS, RETAIN_ROWS[:4]]))
    seen = method.inputs(batch)
    assert torch.equal(seen["pixel_values"][-4:], batch["pixel_values"][-4:])
    for row in range(len(FORGET_ROWS)):
        assert any(torch.equal(seen["pixel_values"][row], noise) for noise in method._noise[1])
    assert torch.equal(seen["labels"], batch["labels"])
    phases = [{step.phase for step in method.steps(examples, epoch, 16)} for epoch in range(3)]
    assert phases == [{"impair"}, {"repair"}, {"repair"}]
    with pytest.raises(MethodError, match="of 'b' some examples are kept"):
        registry.load("unsir")().prepare(model, examples)
    registry.load("unsir")(noises=1, noise_steps=1).prepare(
        model, training_examples(model, IMAGES, ForgetSet.by_class(IMAGES, 1))
    )


def test_the_pull_of_noise_is_that_of_a_held_constant() -> None:
    """Of W x, one term's gradient is (W x − a) / ‖W x − a‖ xᵀ / ‖ε‖, with a = W (x + ε) held."""
    model = Linear()
    hook = LossHook.on(model)
    method = registry.load("jit")(noises=3, noise=0.2, seed=4)
    method._student = weakref.ref(model)
    batch = EXAMPLES.batch(FORGET_ROWS[:2])
    x, w = batch["pixel_values"].flatten(1), model.head.weight
    logits = model(pixel_values=batch["pixel_values"]).logits
    hook.claim(method)
    method.per_example_loss(logits, batch).sum().backward()
    expected = torch.zeros_like(w)
    for number in range(3):
        noise = 0.2 * normal(batch["index"], (3, 8, 8), seed=4, epoch=number, stream=12).flatten(1)
        difference = -noise @ w.detach().T  # W x − W (x + ε)
        unit = difference / difference.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
        expected += unit.T @ x / 3
    torch.testing.assert_close(w.grad, expected, rtol=1e-3, atol=1e-5)
    assert hook.owner is method


def test_draws_of_noise_are_an_example_s_own() -> None:
    index = torch.arange(200)
    drawn = normal(index, (3, 4, 4), seed=0, epoch=0, stream=1)
    assert torch.equal(drawn[[7, 3]], normal(torch.tensor([7, 3]), (3, 4, 4), seed=0, epoch=0, stream=1))
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.05) and float(drawn.std()) == pytest.approx(1.0, abs=0.05)
    assert not torch.equal(drawn, normal(index, (3, 4, 4), seed=0, epoch=1, stream=1))


def test_sfron_s_plan_is_one_forget_step_before_each_five_retain_steps() -> None:
    model = tiny_resnet(IMAGES)
    steps = [s.phase for s in registry.load("sfron")().steps(training_examples(model, IMAGES, FORGET), 0, 8)]
    assert steps == ["forget", *["retain"] * 5, "forget", "retain", "retain"]  # 56 retain examples


def test_examples_that_are_forgotten_already_count_less() -> None:
    """Losses of 1 and 4 and λ of a half: weights of two thirds and a third."""
    method = registry.load("sfron")()

    class Given(nn.Module):
        def forward(self, pixel_values):
            losses = torch.tensor([1.0, 4.0])
            return SimpleNamespace(logits=torch.stack([-losses, torch.log1p(-torch.exp(-losses))], dim=1))

    class Two:
        images = range(2)

        def batch(self, rows, draws):
            return {"pixel_values": torch.zeros(2, 3, 8, 8), "labels": torch.zeros(2, dtype=torch.long)}

    found = method.weights(Given(), Two(), torch.tensor([0, 1]), draws=0)
    torch.testing.assert_close(found, torch.tensor([2 / 3, 1 / 3]))


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_forget_step_of_sfron_is_the_masked_and_clipped_gradient_of_its_loss(accumulation: int) -> None:
    model = tiny_resnet(IMAGES).eval()
    original = copy.deepcopy(model)
    method = registry.load("sfron")(freeze_batchnorm=True, strength=2.0, max_norm=0.05, period=100)
    plain = {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "scheduler": "constant"}
    config = TrainingConfig(
        epochs=1, learning_rate=0.1, batch_size=64, accumulation_steps=accumulation, max_grad_norm=0.0, **plain, **CPU
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unlearn(model, IMAGES, FORGET, method, config, progress=False)

    losses = nn.functional.cross_entropy(*logits_of(original, FORGET_ROWS), reduction="none")
    w = losses.detach().pow(-0.5)
    (-2.0 * (w / w.sum() * losses).sum()).backward()  # α_0 = strength
    masked = {name: p.grad * method._salient[name] for name, p in original.named_parameters()}
    norm = math.sqrt(sum(float(g.square().sum()) for g in masked.values()))
    expected = copy.deepcopy(original)
    expected.zero_grad()
    with torch.no_grad():
        for name, parameter in expected.named_parameters():
            parameter.sub_(0.1 * masked[name] * min(1.0, 0.05 / norm))
    repair = gradient(expected, RETAIN_ROWS)
    for name, parameter in model.named_parameters():
        after = expected.get_parameter(name).detach() - 0.1 * repair[name]
        torch.testing.assert_close(parameter.detach(), after, rtol=2e-3, atol=1e-6)


def test_sfron_s_weights_are_those_that_matter_more_to_the_forget_set() -> None:
    model = tiny_resnet(IMAGES).eval()
    method = registry.load("sfron")(ratio=1.5)
    method.prepare(model, training_examples(model, IMAGES, FORGET))
    mine, theirs = (gradient(model, rows) for rows in (FORGET_ROWS, RETAIN_ROWS))  # one group each
    for name, salient in method._salient.items():
        ratio = (mine[name] ** 2 + 1e-15) / (theirs[name] ** 2 + 1e-15)
        sure = (ratio / 1.5).log().abs() > 1e-2
        assert torch.equal(salient[sure], (ratio >= 1.5)[sure])


def test_wrong_options_are_told() -> None:
    for name, options in {
        "boundary_shrink": {"radius": 0.0},
        "unsir": {"noises": 0},
        "jit": {"noise": 0.0},
        "sfron": {"period": 0},
    }.items():
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            registry.load(name)(**options)
    batch = {"is_forget": torch.zeros(1, dtype=torch.bool), "index": torch.zeros(1, dtype=torch.long)}
    with pytest.raises(MethodError, match="forget examples only"):
        registry.load("jit")().per_example_loss(torch.zeros(1, 4), batch)
