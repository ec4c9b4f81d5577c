"""Methods that edit weights before they repair, or that only edit, against dense computations on tiny models."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.test_copies_and_edits import Linear
from tests.tiny import tiny_forget, tiny_images, tiny_resnet, tiny_vit
from unlearn_audit.data import ForgetSet
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.methods._copies import fresh
from unlearn_audit.methods.base import UnlearningCallback
from unlearn_audit.models import weights_hash
from unlearn_audit.training import TrainingConfig, training_examples, unlearn

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
CPU = {"precision": "float32", "checkpoints": 0, "augment": False}
EXAMPLES = training_examples(tiny_resnet(IMAGES), IMAGES, FORGET, augment=False)
NOTHING = TrainingConfig(**{"epochs": 0, **CPU})


def one_step(**settings) -> TrainingConfig:
    """Plain SGD on all retain examples at once."""
    plain = {"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "scheduler": "constant"}
    return TrainingConfig(**{**plain, "epochs": 1, "learning_rate": 0.1, "batch_size": 64, **CPU, **settings})


def unlearned(original: nn.Module, method: UnlearningCallback, config: TrainingConfig = NOTHING) -> nn.Module:
    model = copy.deepcopy(original)
    unlearn(model, IMAGES, FORGET, method, config, progress=False)
    return model


def logits_of(model: nn.Module, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    batch = EXAMPLES.batch(rows)
    return model(pixel_values=batch["pixel_values"]).logits, batch["labels"]


def edited(model: nn.Module, method: UnlearningCallback) -> nn.Module:
    """Prepare and edit, for models that no Trainer takes."""
    method.prepare(model, EXAMPLES)
    model = copy.deepcopy(model)
    with torch.no_grad():
        method.edit(model)
    return model


def gradient(model: nn.Module, rows: torch.Tensor, reduction: str = "mean") -> dict[str, torch.Tensor]:
    model.zero_grad()
    nn.functional.cross_entropy(*logits_of(model, rows), reduction=reduction).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return found


FORGET_ROWS = torch.as_tensor(np.flatnonzero(FORGET.mask(IMAGES)))
RETAIN_ROWS = torch.as_tensor(np.flatnonzero(~FORGET.mask(IMAGES)))


def test_transposed_are_all_kernels_and_nothing_else(original) -> None:
    method = registry.load("transpose")()
    once = copy.deepcopy(original)
    with torch.no_grad():
        method.edit(once)
    for name, module in original.named_modules():
        other = once.get_submodule(name)
        for own, parameter in module.named_parameters(recurse=False):
            is_kernel = isinstance(module, nn.Conv2d) and own == "weight"
            expected = parameter.mT if is_kernel else parameter
            assert torch.equal(other.get_parameter(own), expected)
    assert weights_hash(once) != weights_hash(original)
    with torch.no_grad():
        method.edit(once)
    assert weights_hash(once) == weights_hash(original)
    with pytest.raises(MethodError, match="convolutions"), torch.no_grad():
        method.edit(Linear())


def test_drawn_anew_are_the_smallest_differences_of_gradients_and_the_rest_is_slowed(original) -> None:
    method = registry.load("masked_small_gradients")(share=0.25, freeze_batchnorm=True)
    after = edited(original, method)
    moved = {}
    for name, parameter in original.named_parameters():
        moved[name] = after.get_parameter(name) != parameter
        is_kernel = isinstance(original.get_submodule(name.rpartition(".")[0]), nn.Conv2d)
        assert int(moved[name].sum()) == (round(0.25 * parameter.numel()) if is_kernel else 0), name

    # as many retain examples as are forgotten, drawn as the method draws them
    from unlearn_audit.data.randomness import draw_rows

    some = draw_rows(RETAIN_ROWS, len(FORGET_ROWS) / len(RETAIN_ROWS), seed=0)
    assert len(some) == len(FORGET_ROWS)
    mine, theirs = gradient(original, FORGET_ROWS), gradient(original, some)
    for name, chosen in method._anew.items():
        difference = (theirs[name] - mine[name]).abs()
        assert difference[chosen].max() <= difference[~chosen].min() * 1.001
        assert torch.equal(chosen, moved[name])

    model = unlearned(original, registry.load("masked_small_gradients")(share=0.25, freeze_batchnorm=True), one_step())
    steps = gradient(after, RETAIN_ROWS)
    for name, parameter in model.named_parameters():
        slowed = torch.where(method._anew[name], 1.0, 0.1) if name in method._anew else 1.0
        expected = after.get_parameter(name) - 0.1 * slowed * steps[name]
        torch.testing.assert_close(parameter, expected, rtol=1e-3, atol=1e-6)


def influence_by_hand(model: nn.Module, samples: torch.Tensor, damping: float) -> tuple[torch.Tensor, torch.Tensor]:
    """v and (damping · I + mean of g gᵀ)⁻¹ v, by a dense inverse in float64."""
    n, n_f, n_r = len(IMAGES), len(FORGET_ROWS), len(RETAIN_ROWS)
    forget, retain = (gradient(model, rows, "sum")["head.weight"] for rows in (FORGET_ROWS, RETAIN_ROWS))
    v = (forget / n - n_f / (n * n_r) * retain).flatten().double()
    single = torch.stack([gradient(model, row[None])["head.weight"].flatten() for row in samples]).double()
    dense = damping * torch.eye(len(v), dtype=torch.float64) + single.T @ single / len(single)
    return v, torch.linalg.inv(dense) @ v


def test_the_influence_step_is_that_of_a_dense_inverse() -> None:
    model = Linear()
    v, expected = influence_by_hand(model, RETAIN_ROWS, 0.5)
    method = registry.load("influence")(strength=0.3, samples=1000, damping=0.5)
    moved = (edited(model, method).head.weight - model.head.weight).flatten().double()
    torch.testing.assert_close(moved, 0.3 * expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))

    ascent = registry.load("influence")(curvature="none", strength=0.3)
    plain = edited(model, ascent).head.weight - model.head.weight
    torch.testing.assert_close(plain.flatten().double(), 0.3 * v, rtol=1e-3, atol=1e-3 * float(v.abs().max()))


def test_the_published_recursion_knows_one_direction_only_and_the_true_inverse_others() -> None:
    """The recursion is v and a multiple of the first gradient; Woodbury's is in the span of all and is not that."""
    generator = torch.Generator().manual_seed(0)
    v, single = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((6,), (4, 6)))
    method = registry.load("influence")(curvature="published")
    change = method.inverse_times(v, single) - v
    assert abs(torch.cosine_similarity(change, single[0], dim=0)) == pytest.approx(1.0, abs=1e-9)
    true = registry.load("influence")(damping=1.0).inverse_times(v, single)
    torch.testing.assert_close(true, torch.linalg.inv(torch.eye(6) + single.T @ single / 4) @ v)
    assert abs(torch.cosine_similarity(true - v, single[0], dim=0)) < 0.999


def test_a_small_influence_step_raises_the_loss_on_the_forget_set(original) -> None:
    after = unlearned(original, registry.load("influence")(strength=0.5, samples=20))
    with torch.no_grad():
        before, now = (nn.functional.cross_entropy(*logits_of(m.eval(), FORGET_ROWS)) for m in (original, after))
    assert now > before


@pytest.mark.parametrize("exact", [True, False])
def test_the_fisher_information_of_a_linear_model_is_known_in_closed_form(exact: bool) -> None:
    """Of W x: E_x Σ_k p_k ((p − e_k) xᵀ)²; with labels drawn from p, the same in the mean over draws."""
    model = Linear()
    with torch.no_grad():
        p = logits_of(model, RETAIN_ROWS)[0].double().softmax(dim=1)
        x = EXAMPLES.batch(RETAIN_ROWS)["pixel_values"].flatten(1).double()
    eye = torch.eye(4, dtype=torch.float64)
    expected = sum((p[:, k, None, None] * ((p - eye[k])[:, :, None] * x[:, None]) ** 2).mean(dim=0) for k in range(4))
    seeds = [0] if exact else range(30)
    found = [
        registry.load("fisher_forgetting")(exact=exact, seed=seed)._fisher(model, EXAMPLES, RETAIN_ROWS)["head.weight"]
        for seed in seeds
    ]
    mean = torch.stack(found).mean(dim=0).double()
    tolerance = 1e-3 if exact else 0.25
    assert float((mean - expected).norm() / expected.norm()) < tolerance


def test_the_noise_has_the_variance_that_is_stated(original) -> None:
    method = registry.load("fisher_forgetting")(strength=1e-4)
    fisher = torch.tensor([[0.0, 1.0], [1e-3, 0.5]])
    inverse = (1 / (fisher + 1e-8)).clamp(max=1e3).mean(dim=1, keepdim=True).expand(2, 2)
    torch.testing.assert_close(method.variance(fisher, False), 1e-4 * inverse)
    torch.testing.assert_close(method.variance(fisher[0], False), 1e-3 * torch.tensor([1e3, 1.0]))
    last = (1 / (fisher + 1e-8)).clamp(max=1e2).mean(dim=1, keepdim=True).expand(2, 2)
    torch.testing.assert_close(method.variance(fisher, True), 1e-3 * last)

    method = registry.load("fisher_forgetting")(strength=1e-6, samples=8)
    method.prepare(original, training_examples(original, IMAGES, FORGET))
    name = "timm_model.conv1.weight"
    noises = []
    for seed in range(40):
        model, method.seed = copy.deepcopy(original), seed
        with torch.no_grad():
            method.edit(model)
        noises.append(model.get_parameter(name).detach() - original.get_parameter(name).detach())
    scaled = torch.stack(noises) / method._variance[name].sqrt()
    assert float(scaled.std()) == pytest.approx(1.0, abs=0.05)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), original.buffers(), strict=True))


def test_a_class_of_which_nothing_is_kept_loses_its_row_of_the_classifier(original) -> None:
    whole = ForgetSet.by_class(IMAGES, 2)
    model = copy.deepcopy(original)
    unlearn(model, IMAGES, whole, registry.load("fisher_forgetting")(samples=8), NOTHING, progress=False)
    rows = model.get_parameter("timm_model.fc.weight").detach().norm(dim=1)
    assert rows[2] < 0.1 < rows[[0, 1, 3]].min()


@pytest.mark.parametrize("reset", [False, True])
def test_only_the_last_layers_move_and_what_is_frozen_is_bit_equal_with_its_statistics(original, reset: bool) -> None:
    method = registry.load("last_layers")(layers=2, reset=reset)
    model = unlearned(original, method, one_step(epochs=2, learning_rate=0.05, batch_size=16))
    moving = method.trainable(original)
    kinds = [type(original.get_submodule(name.rpartition(".")[0])) for name in moving if name.endswith("weight")]
    assert sum(kind in (nn.Conv2d, nn.Linear) for kind in kinds) == 2
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, original.get_parameter(name)) is (name not in moving), name
        assert parameter.requires_grad
    mine = {name.rpartition(".")[0] for name in moving}
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, original.get_buffer(name)) is (name.rpartition(".")[0] not in mine), name


def test_layers_that_are_reset_know_nothing_of_the_forget_set(original) -> None:
    """Two originals that differ in their last layers alone become the same."""
    method = registry.load("last_layers")(layers=2, reset=True, seed=3)
    other = copy.deepcopy(original)
    with torch.no_grad():
        for name in method.trainable(original):
            other.get_parameter(name).add_(1.0)
            module = other.get_submodule(name.rpartition(".")[0])
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.add_(1.0)
    assert weights_hash(other) != weights_hash(original)
    one, two = edited(original, method), edited(other, method)
    assert weights_hash(one) == weights_hash(two)
    untrained = fresh(original, EXAMPLES, seed=3)
    for name in method.trainable(original):  # as an untrained model begins
        assert torch.equal(one.get_parameter(name), untrained.get_parameter(name))


def test_negation_is_on_the_line_through_the_original_and_what_learned(original) -> None:
    config = one_step(epochs=2)
    there, back = (unlearned(original, registry.load("task_negation")(scale=scale), config) for scale in (0.5, 1.0))
    for name, start in original.named_parameters():
        half, whole = (model.get_parameter(name) - start for model in (there, back))
        torch.testing.assert_close(2 * half, whole, rtol=1e-3, atol=1e-6)
    with torch.no_grad():
        before, now = (nn.functional.cross_entropy(*logits_of(m.eval(), FORGET_ROWS)) for m in (original, back))
    assert now > before


def test_models_and_options_that_do_not_fit_are_told(original) -> None:
    for name, options in {
        "influence": {"curvature": "luck"},
        "masked_small_gradients": {"share": 1.0},
        "fisher_forgetting": {"samples": 0},
        "last_layers": {"layers": 0},
        "task_negation": {"retain_share": 0.5},
    }.items():
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            registry.load(name)(**options)
    with pytest.raises(ConfigurationError, match="reset"):
        registry.load("last_layers")(reset=True, freeze_batchnorm=True)
    with pytest.raises(MethodError, match="this one has"):
        registry.load("last_layers")(layers=100).trainable(original)
    assert registry.load("last_layers")(layers=1).trainable(tiny_vit(IMAGES)) >= {"timm_model.head.weight"}
    for name in ("influence", "masked_small_gradients", "fisher_forgetting"):
        with pytest.raises(MethodError, match=r"method\.prepare"):
            registry.load(name)().edit(original)
