"""Bounded ascent against closed forms: gradients in the logits, at the original and where all is forgotten."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.tiny import tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.training import training_examples

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return tiny_resnet(IMAGES).eval()


def prepared(original: nn.Module, **options):
    examples = training_examples(original, IMAGES, FORGET, augment=False)
    method = registry.load("bounded_ascent")(**options)
    method.prepare(original, examples)
    return method, examples.batch(examples.forget_rows)


def gradient(method, logits: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    logits = logits.detach().double().requires_grad_()
    loss = method.per_example_loss(logits, batch)
    loss.sum().backward()
    return loss.detach(), logits.grad


def of_gradient_ascent(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.one_hot(labels, logits.shape[1]) - logits.detach().double().softmax(dim=1)


@pytest.mark.parametrize("beta", [0.1, 0.5, 2.0])
def test_npo_is_gradient_ascent_at_the_original_and_weaker_by_the_ratio_elsewhere(original, beta: float) -> None:
    method, batch = prepared(original, beta=beta)
    with torch.no_grad():
        logits = original(pixel_values=batch["pixel_values"]).logits
    label = batch["labels"][:, None]
    _, found = gradient(method, logits, batch)
    torch.testing.assert_close(found, of_gradient_ascent(logits, batch["labels"]), rtol=1e-4, atol=1e-6)
    moved = logits - nn.functional.one_hot(batch["labels"], 4) * torch.linspace(0, 20, 8)[:, None]
    ratio = (moved.double().softmax(1).gather(1, label) / logits.double().softmax(1).gather(1, label)) ** beta
    loss, found = gradient(method, moved, batch)
    expected = 2 * ratio / (1 + ratio) * of_gradient_ascent(moved, batch["labels"])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss, (2 / beta * (1 + ratio).log()).squeeze(1), rtol=1e-4, atol=1e-6)


def test_capped_is_gradient_ascent_up_to_chance_and_nothing_beyond(original) -> None:
    method, batch = prepared(original, bound="capped")
    logits = torch.zeros(8, 4)
    logits[:, 1] = torch.tensor([3.0, 2.0, 1.0, 0.5, -0.5, -1.0, -2.0, -30.0])  # the label of all is 1
    loss, found = gradient(method, logits, batch)
    torch.testing.assert_close(found[:4], of_gradient_ascent(logits, batch["labels"])[:4])
    assert (found[4:] == 0).all() and loss[4:].tolist() == pytest.approx([-math.log(4)] * 4)


def test_unlikelihood_is_strong_on_what_is_memorised_and_ends_at_nothing(original) -> None:
    method, batch = prepared(original, bound="unlikelihood")
    logits = torch.zeros(8, 4)
    logits[:, 1] = torch.tensor([300.0, 50.0, 5.0, 1.0, 0.0, -1.0, -5.0, -50.0])
    loss, found = gradient(method, logits, batch)
    q = logits.double().softmax(dim=1)[:, 1]
    torch.testing.assert_close(found[:, 1], q)
    assert torch.isfinite(loss).all() and loss[-1] == pytest.approx(0, abs=1e-12) and found[0, 1] == pytest.approx(1)
    np.testing.assert_allclose(loss[2:], -np.log1p(-q[2:]), rtol=1e-9, atol=1e-12)


def test_retain_examples_learn_their_labels_and_mistakes_are_told(original) -> None:
    method, batch = prepared(original, bound="capped")
    kept = {**batch, "is_forget": torch.zeros(8, dtype=torch.bool)}
    logits = torch.linspace(-1, 1, 32).view(8, 4)
    torch.testing.assert_close(gradient(method, logits, kept)[1], -of_gradient_ascent(logits, batch["labels"]))
    with pytest.raises(MethodError, match=r"method\.prepare"):
        registry.load("bounded_ascent")().per_example_loss(logits, batch)
    for wrong in ({"bound": "none"}, {"beta": 0.0}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            registry.load("bounded_ascent")(**wrong)
