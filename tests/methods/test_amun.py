"""AMUN and its attack: distances against closed forms on a linear model, in units of pixels."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.methods.test_in_a_trainer import IMAGES, method_named
from tests.tiny import tiny_forget, tiny_resnet
from unlearn_audit.methods._attack import PixelUnits, pgd_l2
from unlearn_audit.training import training_examples

UNITS = PixelUnits(torch.full((1, 3, 1, 1), 0.5), torch.full((1, 3, 1, 1), 0.25))


class Linear(nn.Module):
    """Says class 1 where w · pixels > threshold; takes normalised views."""

    def __init__(self, threshold: float):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.w, self.threshold = torch.randn(3, 4, 4, generator=generator), threshold

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        score = (UNITS.pixels(pixel_values) * self.w).sum(dim=(1, 2, 3)) - self.threshold
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(score), score], dim=1))


def test_the_attack_stops_within_a_step_of_the_boundary_measured_in_pixels() -> None:
    pixels = torch.full((1, 3, 4, 4), 0.5)
    score = float((pixels * Linear(0).w).sum())
    model = Linear(score + 0.1)  # class 0, by a margin of 0.1
    margin = 0.1 / float(model.w.norm())
    radius = torch.tensor([2 * margin])
    found = pgd_l2(model, UNITS, pixels, torch.tensor([0]), radius, steps=50)
    distance = float((found - pixels).norm())
    assert margin < distance <= margin + float(radius) / 10 + 1e-6
    assert model(UNITS.views(found)).logits.argmax() == 1


def test_the_attack_stays_in_the_ball_and_among_possible_pixels() -> None:
    pixels = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    radius = torch.full((4,), 0.3)
    found = pgd_l2(Linear(1e6), UNITS, pixels, torch.zeros(4, dtype=torch.int64), radius, steps=20)
    assert ((found - pixels).flatten(1).norm(dim=1) <= 0.3 + 1e-5).all()
    assert found.min() >= 0 and found.max() <= 1


@pytest.fixture(scope="module")
def prepared():
    model, method = tiny_resnet(IMAGES), method_named("amun")
    return model, method, method.prepare(model, training_examples(model, IMAGES, tiny_forget(IMAGES)))


def test_forget_examples_are_replaced_and_labelled_by_the_original(prepared) -> None:
    model, method, examples = prepared
    batch = examples.without_augmentation().batch(torch.arange(16))
    changed = method.inputs(batch)
    forget = batch["is_forget"]
    with torch.no_grad():
        called = model.eval()(pixel_values=changed["pixel_values"]).logits.argmax(dim=1)
    assert torch.equal(changed["labels"][forget], called[forget])
    assert (changed["labels"] != batch["labels"])[forget].all()
    assert torch.equal(changed["pixel_values"][~forget], batch["pixel_values"][~forget])
    assert torch.equal(changed["labels"][~forget], batch["labels"][~forget])


def test_neighbours_are_possible_images_kept_finer_than_grey_levels(prepared) -> None:
    model, method, _ = prepared
    views = method._neighbours[1]
    pixels = PixelUnits.of(model, views.device).pixels(views)
    assert pixels.min() >= -1e-5 and pixels.max() <= 1 + 1e-5
    assert views.dtype == torch.float32


def test_what_the_original_gets_wrong_stays_as_it_is(prepared) -> None:
    model, method, examples = prepared
    batch = examples.without_augmentation().batch(examples.forget_rows)
    with torch.no_grad():
        called = model.eval()(pixel_values=batch["pixel_values"]).logits.argmax(dim=1)
    wrong = {**batch, "labels": (called + 1) % 4}
    views, labels = method.neighbours(model.eval(), wrong)
    torch.testing.assert_close(views, batch["pixel_values"], rtol=0, atol=1e-5)
    assert torch.equal(labels, called)
