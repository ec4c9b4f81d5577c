"""`cnn8`: what its first layer does to photographs, how it starts, and that it is saved whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from tests.tiny import tiny_images
from unlearn_audit.errors import ModelError
from unlearn_audit.models import create_model, load_model, predict, save_model, weights_hash
from unlearn_audit.models.whitened_cnn import whitening_filters
from unlearn_audit.training import TrainingConfig, fit

IMAGES = tiny_images(16, size=16)
SMALL = {"channels": [24, 32, 48]}


def small(seed: int = 0) -> torch.nn.Module:
    return create_model("cnn8", IMAGES, seed=seed, **SMALL)


def photographs() -> torch.Tensor:
    """Two photographs (2, 3, 64, 96), normalised as `create_model` does."""
    shown = [Image.fromarray(load_sample_image(name)).resize((96, 64)) for name in ("china.jpg", "flower.jpg")]
    pixels = torch.tensor(np.stack([np.asarray(image) for image in shown])) / 255
    return ((pixels - 0.5) / 0.25).permute(0, 3, 1, 2)


def variances(rows: torch.Tensor) -> torch.Tensor:
    """Return the variances of the rows (n, d) along their principal axes, the least first."""
    return torch.linalg.eigvalsh(torch.cov(rows.double().T))


def test_the_first_layer_evens_out_the_variances_of_photographs() -> None:
    pixels = photographs()
    patches = pixels.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    whitened = torch.nn.functional.conv2d(pixels, whitening_filters()[:12]).permute(0, 2, 3, 1).reshape(-1, 12)
    before, after = variances(patches), variances(whitened)
    assert before[-1] / before[0] > 1_000 and after[-1] / after[0] < 50


def test_patches_of_the_variances_that_it_is_made_for_come_out_uncorrelated() -> None:
    colours = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    colour = colours.T @ torch.diag(torch.tensor([3.0, 0.4, 0.07])) @ colours
    space = torch.zeros(4, 4)
    for (y, x), (v, u) in itertools.product(itertools.product(range(2), repeat=2), repeat=2):
        signs = [(1, 3.8), ((-1) ** (x + u), 0.1), ((-1) ** (y + v), 0.1), ((-1) ** (x + u + y + v), 0.01)]
        space[2 * y + x, 2 * v + u] = sum(sign * variance for sign, variance in signs) / 4
    filters = whitening_filters()[:12].flatten(1)
    torch.testing.assert_close(filters @ torch.kron(colour, space) @ filters.T, torch.eye(12), atol=1e-4, rtol=0)


def test_its_directions_are_orthogonal_and_come_with_their_negatives() -> None:
    filters = whitening_filters().flatten(1)
    directions = filters[:12] / filters[:12].norm(dim=1, keepdim=True)
    torch.testing.assert_close(directions @ directions.T, torch.eye(12), atol=1e-6, rtol=0)
    assert torch.equal(filters[12:], -filters[:12])


def test_convolutions_start_by_handing_on_what_comes_in() -> None:
    convolution = small().timm_model.blocks[0][0]
    maps = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(convolution(maps)[:, :24], maps)


def test_nothing_of_the_images_enters_it_before_training() -> None:
    other = tiny_images(16, size=16, seed=1)
    assert weights_hash(small()) == weights_hash(create_model("cnn8", other, seed=0, **SMALL))
    assert weights_hash(small()) != weights_hash(small(seed=1))


def test_what_is_fixed_stays_so_in_training_and_all_is_saved(tmp_path) -> None:
    model = small()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    config = TrainingConfig(epochs=2, learning_rate=0.1, batch_size=8, precision="float32", batchnorm_bias_rate=4.0)
    model = fit(model, IMAGES, config, seed=0, progress=False).model
    changed = {name for name, values in model.state_dict().items() if not torch.equal(values, before[name])}
    fixed = {name for name, _ in model.named_buffers() if name.endswith("weight")}
    assert len(fixed) == 7 and changed == before.keys() - fixed
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert weights_hash(loaded) == weights_hash(model)
    np.testing.assert_array_equal(predict(loaded, IMAGES).logits, predict(model, IMAGES).logits)
    assert predict(loaded, IMAGES).embeddings.shape == (16, 48)


def test_images_that_are_too_small_are_refused_in_words() -> None:
    small_images = tiny_images(4)
    with pytest.raises(ModelError, match=r"at least 16 x 16 pixels, got \(8, 8\)"):
        predict(create_model("cnn8", small_images, seed=0), small_images)
    with pytest.raises(ModelError, match="3 channels"):
        create_model("cnn8", IMAGES, seed=0, in_chans=1)
