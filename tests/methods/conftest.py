from __future__ import annotations

import pytest
from torch import nn

from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.training import TrainingConfig, fit


@pytest.fixture(scope="session")
def original() -> nn.Module:
    """A ResNet-8 that has learned the tiny images. Not to be changed."""
    images = tiny_images()
    config = TrainingConfig(epochs=4, learning_rate=0.05, batch_size=16, precision="float32", checkpoints=0)
    return fit(tiny_resnet(images), images, config, seed=0, progress=False).model.eval()
