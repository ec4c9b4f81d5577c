"""A command that ends with the process that asked for it, however that one ends, and all that it started with it.

Between both stands this file as a small program: it waits for the command, and for the end of its own standard input,
which closes when the process that asked is killed. It needs the standard library alone, so it starts at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

_LOOK = 0.1  # seconds between two looks at the command
_GRACE = 10.0  # seconds that the command has to end by itself
_CANNOT_RUN = 127  # as in a shell


def run_attended(arguments: Sequence[str], *, cwd: str, env: Mapping[str, str], output: IO[bytes]) -> int:
    """Run a command and return its exit code: 127 where it cannot be run, 128 and the signal where one ended it.

    It reads nothing, and all that it says goes to `output`. Where this process is killed or interrupted, the command
    and what it started in its process group get SIGTERM, and SIGKILL where that has not ended it in ten seconds.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as attendant:
        return attendant.wait()


def _attend(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: None)  # it goes to the group, which this process ends last
    try:
        command = subprocess.Popen(arguments, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"The command {arguments[0]!r} cannot be run: {error}.", flush=True)
        return _CANNOT_RUN
    while (code := command.poll()) is None:
        asked_for, _, _ = select.select([sys.stdin], [], [], _LOOK)
        if asked_for:
            _end(command)
    return code if code >= 0 else 128 - code


def _end(command: subprocess.Popen[bytes]) -> None:
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        command.wait(_GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(_attend(sys.argv[1:]))
