import gc
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

from tests.made_up_audit import request_in
from tests.publishing.loopback import LoopbackHub
from tests.quick_commands import SOCKET

# What is generated is the same in each run, and little; `pytest --hypothesis-profile long` looks for more.
_CALM = {"deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}
hypothesis.settings.register_profile("short", max_examples=30, derandomize=True, database=None, **_CALM)
hypothesis.settings.register_profile("long", max_examples=2000, **_CALM)
hypothesis.settings.load_profile("short")

# One thread: the same figures on every machine, and tiny models are faster so. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("UNLEARN_AUDIT_JOBS", "1")  # a process that is started imports torch: seconds a test


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


@pytest.fixture(scope="session")
def saved_report(tmp_path_factory) -> Path:
    """A small audit on made-up predictions, saved in `report` beside what it was made from. Not to be changed."""
    from unlearn_audit.saved.running import run_audit, save_audit

    folder = tmp_path_factory.mktemp("saved")
    request = request_in(folder)
    save_audit(run_audit(request, base=folder), request, folder / "report", base=folder)
    return folder / "report"


@pytest.fixture
def report_folder(saved_report, tmp_path) -> Path:
    """A copy of `saved_report` to be changed, `tmp_path / "report"`; what it was made from is in `tmp_path`."""
    shutil.copytree(saved_report.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "report"


@pytest.fixture(scope="session")
def quick_commands(tmp_path_factory):
    """The environment in which `unlearn-audit` and `python SCRIPT` are quick, and their Hub is a `LoopbackHub`.

    That Hub is one with the port of `HF_ENDPOINT`; where none listens, no command finds a Hub.
    """
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "unlearn-audit"
    command.write_text(f"#!{sys.executable} -S\n" + Path(__file__).with_name("quick_commands.py").read_text())
    command.chmod(0o755)
    (folder / "python").symlink_to(command)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        hub = LoopbackHub(port=probe.getsockname()[1])
    environment = {
        **os.environ,
        **hub.settings(folder / "home"),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        SOCKET: str(folder / "socket"),
    }
    (folder / "made-up").mkdir()
    request_in(folder / "made-up")
    serve = [sys.executable, command, "--serve", environment[SOCKET], folder / "made-up"]
    with subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE) as server:
        assert server.stdout.read(1) == b".", "the server did not start"
        yield environment
        server.kill()
