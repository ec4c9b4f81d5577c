"""Copies of forgotten examples that stay in the data: of the same pixels, and nearly, in an embedding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.tiny import tiny_images
from unlearn_audit.data import ForgetSet, Images
from unlearn_audit.data.images import ImageData
from unlearn_audit.experiment.duplicates import exact_duplicates, near_duplicates
from unlearn_audit.reporting.copies import write_copies


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Row 5 of the training images is a copy of row 2; so is test row 1."""
    train, test = tiny_images(20), tiny_images(8, split="test", seed=1)
    pixels, tests = np.array(train.pixels), np.array(test.pixels)
    pixels[5] = tests[1] = pixels[2]
    return ImageData("tiny", _with(train, pixels), _with(test, tests))


def _with(images: Images, pixels: np.ndarray) -> Images:
    return dataclasses.replace(images, pixels=pixels, fingerprint="")


def test_the_same_pixels_are_found_in_both_splits_and_not_among_the_forgotten(data) -> None:
    found = exact_duplicates(ForgetSet.from_ids(data.train, ["train-2", "train-7"]), data.train, data.test)
    assert [(copy.forgotten, copy.other, copy.split) for copy in found] == [
        ("train-2", "train-5", "train"),
        ("train-2", "test-1", "test"),
    ]
    both = ForgetSet.from_ids(data.train, ["train-2", "train-5"])
    assert [copy.other for copy in exact_duplicates(both, data.train)] == []


def test_near_ones_are_found_by_cosine_the_nearest_first() -> None:
    angles = np.radians([0, 1, 3, 40, 90])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    is_forget = np.array([True, False, False, False, False])
    found = near_duplicates(embeddings, list("abcde"), ["train"] * 4 + ["test"], is_forget)
    assert [copy.other for copy in found] == ["b", "c"]
    assert found[0].similarity == pytest.approx(np.cos(np.radians(1)), abs=1e-6)


def test_the_page_shows_both_pictures_and_escapes_ids(data, tmp_path) -> None:
    found = exact_duplicates(ForgetSet.from_ids(data.train, ["train-2"]), data.train, data.test)
    odd = [dataclasses.replace(found[0], other="<b>train-5")]
    page = write_copies([*found, *odd], data, tmp_path / "copies.html").read_text()
    assert page.count("data:image/png;base64,") == 5 and "<b>train-5" not in page
