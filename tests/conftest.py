import os
from pathlib import Path

import pytest

# One thread: the same figures on every machine, and tiny models are faster so. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def cifar100_folder() -> Path:
    """The folder of the real CIFAR-100, in the schema of the Hub data set `uoft-cs/cifar100`."""
    folder = os.environ.get("UNLEARN_AUDIT_CIFAR100")
    if not folder:
        pytest.skip("set UNLEARN_AUDIT_CIFAR100 to a folder that holds CIFAR-100")
    return Path(folder)
