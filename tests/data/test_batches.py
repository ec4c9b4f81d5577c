"""Batches: augmentation of each image by its own draws, normalisation, and both collators."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from tests.tiny import tiny_images
from unlearn_audit.data.batches import Augmentation, ExampleDataset, collate
from unlearn_audit.data.randomness import draw, draw_rows, permutation

IMAGES = tiny_images(32)
FORGET = np.arange(32) % 4 == 1


def scale(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


def dataset(**options) -> ExampleDataset:
    return ExampleDataset(IMAGES, scale, is_forget=FORGET, **options)


def slow_crop(image: np.ndarray, top: int, left: int, *, padding: int, flip: bool) -> np.ndarray:
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    cropped = padded[top : top + image.shape[0], left : left + image.shape[1]]
    return cropped[:, ::-1] if flip else cropped


@pytest.mark.parametrize("flip", [True, False])
def test_each_image_is_one_of_its_own_crops(flip: bool) -> None:
    augment = Augmentation(padding=1, flip=flip)
    found = augment(torch.tensor(IMAGES.pixels), torch.arange(32), seed=0, epoch=0).numpy()
    chosen = set()
    for image, result in zip(IMAGES.pixels, found, strict=True):
        crops = {
            (top, left, mirrored): slow_crop(image, top, left, padding=1, flip=mirrored)
            for top in range(3)
            for left in range(3)
            for mirrored in {False, flip}
        }
        matching = [key for key, crop in crops.items() if np.array_equal(crop, result)]
        assert len(matching) == 1
        chosen.add(matching[0])
    assert len(chosen) > 5
    assert {mirrored for _, _, mirrored in chosen} == {False, flip}


def test_augmentation_does_not_depend_on_the_batch_but_on_epoch_and_seed() -> None:
    augmented = dataset(augmentation=Augmentation(padding=2, flip=True))
    whole = augmented.batch(torch.arange(32))["pixel_values"]
    for rows in (torch.tensor([5]), torch.tensor([31, 2, 5]), torch.arange(8, 16)):
        assert torch.equal(augmented.batch(rows)["pixel_values"], whole[rows])
    augmented.set_epoch(1)
    assert not torch.equal(augmented.batch(torch.arange(32))["pixel_values"], whole)
    other = dataset(augmentation=Augmentation(padding=2, flip=True), seed=1)
    assert not torch.equal(other.batch(torch.arange(32))["pixel_values"], whole)
    plain = augmented.without_augmentation().batch(torch.arange(32))["pixel_values"]
    assert torch.equal(plain, scale(torch.tensor(IMAGES.pixels)))


def test_alternating_flips_show_both_sides_of_each_image_in_two_epochs_from_a_random_one_on() -> None:
    augment, pixels, rows = Augmentation(padding=0, flip=True, alternating=True), torch.tensor(IMAGES.pixels), range(32)
    sides = [augment(pixels, torch.arange(32), seed=0, epoch=epoch) for epoch in range(4)]
    mirrored = torch.stack([(side == pixels.flip(2)).flatten(1).all(dim=1) for side in sides])
    assert not any(torch.equal(pixels[row], pixels[row].flip(1)) for row in rows)
    assert 8 < int(mirrored[0].sum()) < 24
    assert torch.equal(mirrored[0], mirrored[2]) and torch.equal(mirrored[1], mirrored[3])
    assert torch.equal(mirrored[0], ~mirrored[1])
    assert all(torch.equal(sides[0][row], pixels[row].flip(1) if mirrored[0, row] else pixels[row]) for row in rows)
    other = augment(pixels, torch.arange(32), seed=1, epoch=0)
    assert not torch.equal(other, sides[0])
    assert torch.equal(augment(pixels[5:9], torch.arange(5, 9), seed=0, epoch=1), sides[1][5:9])


def test_the_usual_augmentation_flips_where_the_images_say_so() -> None:
    assert Augmentation.usual(IMAGES) == Augmentation(padding=1, flip=True)
    assert not Augmentation.usual(dataclasses.replace(IMAGES, flips=False)).flip
    assert Augmentation.usual(dataclasses.replace(IMAGES, name="digits")).flip  # a name says nothing
    assert Augmentation.usual(tiny_images(4, size=32)).padding == 4
    assert Augmentation.usual(IMAGES, alternating=True) == Augmentation(padding=1, flip=True, alternating=True)


def test_both_collators_give_the_same_batch() -> None:
    batch = dataset().__getitems__([3, 1, 7])
    fast, plain = collate(batch), default_collate(list(batch))
    assert fast.keys() == plain.keys() == {"pixel_values", "labels", "is_forget", "index"}
    for name in fast:
        assert torch.equal(fast[name], plain[name]), name
    assert torch.equal(fast["labels"], torch.tensor(IMAGES.labels[[3, 1, 7]]))
    assert torch.equal(fast["is_forget"], torch.tensor(FORGET[[3, 1, 7]]))
    assert torch.equal(dataset()[7]["pixel_values"], fast["pixel_values"][2])
    with pytest.raises(IndexError):
        batch[3]


def test_subsets_keep_rows_of_the_whole() -> None:
    narrowed = dataset().subset(torch.tensor([9, 4, 30]))
    assert len(narrowed) == 3
    assert narrowed.__getitems__([0, 2]).tensors["index"].tolist() == [9, 30]
    assert narrowed.forget_rows.tolist() == [9] and narrowed.retain_rows.tolist() == [4, 30]


def test_draws_are_uniform_and_independent_across_streams_and_epochs() -> None:
    index, n = torch.arange(60_000), 60_000
    tables = [
        draw(index, 6, seed=seed, epoch=epoch, stream=stream)
        for seed, epoch, stream in ((0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 0, 1))
    ]
    for drawn in tables:
        counts = torch.bincount(drawn, minlength=6)
        assert len(counts) == 6
        assert ((counts - n / 6) ** 2 / (n / 6)).sum() < 25.7  # chi-squared, 5 degrees of freedom, p = 1e-4
    for i, first in enumerate(tables):
        for second in tables[:i]:
            pairs = torch.bincount(first * 6 + second, minlength=36)
            assert ((pairs - n / 36) ** 2 / (n / 36)).sum() < 80.0  # 35 degrees of freedom, p = 2e-5


def test_permutations_and_shares_of_rows() -> None:
    assert permutation(50, seed=3).sort().values.tolist() == list(range(50))
    assert torch.equal(permutation(50, seed=3, epoch=2), permutation(50, seed=3, epoch=2))
    assert not torch.equal(permutation(50, seed=3, epoch=2), permutation(50, seed=3, epoch=1))
    rows = torch.arange(100, 140)
    half = draw_rows(rows, 0.5, seed=0)
    assert len(half) == 20 and (half.diff() > 0).all() and set(half.tolist()) <= set(rows.tolist())
    assert torch.equal(draw_rows(rows, 1.0, seed=0), rows) and len(draw_rows(rows, 0.0, seed=0)) == 0
