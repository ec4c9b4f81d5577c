from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.examples.quick_commands import SOCKET

EXAMPLES = Path(__file__).parents[2] / "examples"
Bash = Callable[..., subprocess.CompletedProcess]


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


def bash(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess:
    """Run a command as GitHub and people do, stopping at the first error."""
    done = subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    print(done.stdout, done.stderr)
    return done


def copied(name: str, folder: Path) -> Path:
    """Copy an example out of the checkout."""
    source, target = EXAMPLES / name, folder / Path(name).name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target
