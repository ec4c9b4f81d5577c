import gc
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.quick_commands import SOCKET

# One thread: the same figures on every machine, and tiny models are faster so. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Take what is imported out of the collection of garbage, which each Trainer asks for: a quarter of a second."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session")
def cifar100_folder() -> Path:
    """The folder of the real CIFAR-100, in the schema of the Hub data set `uoft-cs/cifar100`."""
    folder = os.environ.get("UNLEARN_AUDIT_CIFAR100")
    if not folder:
        pytest.skip("set UNLEARN_AUDIT_CIFAR100 to a folder that holds CIFAR-100")
    return Path(folder)


@pytest.fixture(scope="session")
def studies(tmp_path_factory) -> Path:
    """A folder for studies, one for all processes of a run: models with the same inputs are trained once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "studies"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def report_folder(tmp_path) -> Path:
    """A small audit on made-up predictions, saved."""
    from tests.made_up_audit import request_in
    from unlearn_audit.saved.running import run_audit, save_audit

    request = request_in(tmp_path)
    save_audit(run_audit(request, base=tmp_path), request, tmp_path / "report", base=tmp_path)
    return tmp_path / "report"


@pytest.fixture(scope="session")
def command_server(tmp_path_factory):
    """Return a function that starts a server of quick commands and gives the environment that reaches it."""
    servers = []

    def start(settings: Mapping[str, str] | None = None) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("bin")
        command = folder / "unlearn-audit"
        command.write_text(f"#!{sys.executable} -S\n" + Path(__file__).with_name("quick_commands.py").read_text())
        command.chmod(0o755)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            SOCKET: str(folder / "socket"),
            **(settings or {}),
        }
        serving = [sys.executable, command, "--serve", folder / "socket"]
        servers.append(subprocess.Popen(serving, env=environment, stdout=subprocess.PIPE))
        assert servers[-1].stdout.read(1) == b".", "the server did not start"
        return environment

    yield start
    for server in servers:
        server.kill()
        server.wait()
