import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cifar100_folder() -> Path:
    """The folder of the real CIFAR-100, in the schema of the Hub data set `uoft-cs/cifar100`."""
    folder = os.environ.get("UNLEARN_AUDIT_CIFAR100")
    if not folder:
        pytest.skip("set UNLEARN_AUDIT_CIFAR100 to a folder that holds CIFAR-100")
    return Path(folder)
