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


@pytest.fixture
def report_folder(tmp_path) -> Path:
    """A small audit on made-up predictions, saved."""
    from tests.made_up_audit import request_in
    from unlearn_audit.saved.running import run_audit, save_audit

    request = request_in(tmp_path)
    save_audit(run_audit(request, base=tmp_path), request, tmp_path / "report", base=tmp_path)
    return tmp_path / "report"
