"""Commands that end with the process that asked for them, and what they started with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from unlearn_audit.experiment import attended
from unlearn_audit.experiment.attended import run_attended

# A command with a worker of its own, as launchers have them; both ignore SIGTERM where they are told to.
COMMAND = """
import os, signal, subprocess, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("pids.new", "w").write(f"{os.getpid()} {worker.pid}")
os.rename("pids.new", "pids")
time.sleep(60)
"""
ASKING = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests in the background ignores it
found = runpy.run_path(sys.argv[1])
found["run_attended"](sys.argv[2:], cwd=".", env=os.environ, output=open("log", "wb"))
"""


def within(seconds: float, holds) -> bool:
    until = time.monotonic() + seconds
    while not (done := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    return done


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_with_the_process_that_asked_for_it(how, tmp_path) -> None:
    line = [sys.executable, "-c", ASKING, attended.__file__, sys.executable, "-c", COMMAND, "meek"]
    asking = subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert within(20, (tmp_path / "pids").exists)
    asking.send_signal(how)
    assert asking.wait(20) != 0
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2 and within(20, lambda: all(map(gone, pids)))


def test_a_command_that_does_not_want_to_end_is_killed(tmp_path, monkeypatch) -> None:
    impatient = tmp_path / "impatient.py"
    impatient.write_text(Path(attended.__file__).read_text().replace("_GRACE = 10.0", "_GRACE = 0.2"))
    line = [sys.executable, "-c", ASKING, impatient, sys.executable, "-c", COMMAND, "stubborn"]
    asking = subprocess.Popen(line, cwd=tmp_path)
    assert within(20, (tmp_path / "pids").exists)
    asking.kill()
    asking.wait()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert within(20, lambda: all(map(gone, pids)))


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_code_is_the_command_s(command, code, tmp_path) -> None:
    with (tmp_path / "log").open("wb") as log:
        assert run_attended(["sh", "-c", f"echo said; {command}"], cwd=".", env=os.environ, output=log) == code
    assert (tmp_path / "log").read_text() == "said\n"


def test_a_command_that_is_not_there_is_told(tmp_path) -> None:
    with (tmp_path / "log").open("wb") as log:
        assert run_attended(["./absent"], cwd=str(tmp_path), env=os.environ, output=log) == 127
    assert "'./absent' cannot be run: [Errno 2]" in (tmp_path / "log").read_text()
