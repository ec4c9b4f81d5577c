import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.quick_commands import SOCKET, fork_server

# What is generated is the same in each run, and little; `pytest --hypothesis-profile long` looks for more.
_CALM = {"deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}
hypothesis.settings.register_profile("short", max_examples=30, derandomize=True, database=None, **_CALM)
hypothesis.settings.register_profile("long", max_examples=2000, **_CALM)
hypothesis.settings.load_profile("short")

# One thread: the same figures on every machine, and tiny models are faster so. Torch reads it when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("UNLEARN_AUDIT_JOBS", "1")  # a process that is started imports torch: seconds a test

# The Hub is at an address of this machine, where nothing answers unless a test serves one. Its client reads both when
# it is imported, and commands are copies of this process.
_CACHE = os.environ.get("HF_HOME", os.path.expanduser("~/.cache/huggingface"))  # noqa: PTH111
os.environ.setdefault("UNLEARN_AUDIT_CACHE", f"{_CACHE}/unlearn_audit")  # what is decoded is decoded once
HOME = tempfile.TemporaryDirectory(prefix="unlearn-audit-tests-")
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{probe.getsockname()[1]}"
os.environ.update(HF_HOME=f"{HOME.name}/hub", HF_HUB_DISABLE_XET="1")

at_the_end = contextlib.ExitStack()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what is imported out of the collection of garbage, which each Trainer asks for: a quarter of a second.

    And fork the server of commands, where a test needs it: nothing of a test is in it yet.
    """
    from unlearn_audit.processes import imports_frozen

    at_the_end.enter_context(imports_frozen())
    if any("quick_commands" in getattr(item, "fixturenames", ()) for item in session.items):
        at_the_end.callback(_end, fork_server(f"{HOME.name}/socket", f"{HOME.name}/made-up"))


def _end(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def pytest_unconfigure() -> None:
    at_the_end.close()


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
    from tests.made_up_audit import request_in
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
def quick_commands():
    """The environment in which `unlearn-audit` and `python SCRIPT` are quick, and their Hub is a `LoopbackHub`.

    That Hub is one with the port of `HF_ENDPOINT`; where none listens, no command finds a Hub.
    """
    from tests.publishing.loopback import LoopbackHub

    folder = Path(HOME.name) / "bin"
    folder.mkdir(exist_ok=True)
    command = folder / "unlearn-audit"
    command.write_text(f"#!{sys.executable} -S\n" + Path(__file__).with_name("quick_commands.py").read_text())
    command.chmod(0o755)
    (folder / "python").symlink_to(command)
    return {
        **os.environ,
        **LoopbackHub.of(os.environ).settings(os.environ["HF_HOME"]),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        SOCKET: f"{HOME.name}/socket",
    }
