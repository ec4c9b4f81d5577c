"""What a process of the engine `processes` does: one stage after the other, until the pipe to it ends."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.experiment.stages import Outcome, Progress, Stage, run_stage
from unlearn_audit.processes import imports_frozen

__all__ = ["work"]

_GRACE = 5.0  # seconds between asking a stage to end and ending it
Send = Callable[..., None]


def work(connection: Connection, folder: Path) -> None:
    """Do the stages that come through `connection`, and send what they tell, print, and come to.

    Messages: `("told", event of Progress, *details)`, `("said", stream, text)`, and of each stage one of `("done",
    outcome)`, with None where another run is at it, and `("failed", error)`. SIGTERM, and the end of the process that
    started this one, interrupt a stage as Ctrl-C does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, for all processes: the first one sees to it
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(folder)
    send = _sender(connection)
    texts = _Text(send, "stdout"), _Text(send, "stderr")
    ends = contextlib.suppress(EOFError, OSError, KeyboardInterrupt)
    with ends, contextlib.redirect_stdout(texts[0]), contextlib.redirect_stderr(texts[1]):
        first = connection.recv()  # and with it the imports of what it needs
        with imports_frozen():
            _do(send, *first)
            while True:
                _do(send, *connection.recv())


def _do(send: Send, stage: Stage, store: Any, waits: bool) -> None:
    try:
        outcome = run_stage(stage, store, _Told(send), wait=waits)
    except Exception as error:  # noqa: BLE001 - whatever a stage raises is for the first process
        send("failed", _sendable(error))
    else:
        send("done", outcome)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """Wait until the process that started this one is gone, however it ended, and end too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)  # so that a command that retrains ends too
        time.sleep(_GRACE)
        os._exit(1)


def _sender(connection: Connection) -> Send:
    lock = threading.Lock()

    def send(*message: object) -> None:
        with lock:
            connection.send(message)

    return send


def _sendable(error: Exception) -> Exception:
    """Return an error that survives the way to another process, with where it was raised unless it was on purpose."""
    if not isinstance(error, UnlearnAuditError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - of this process
    except Exception:  # noqa: BLE001 - whatever the class of an error does
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


class _Told(Progress):
    """Sends on what a stage tells; how it ends, `work` sends."""

    def __init__(self, send: Send):
        self._send = send

    def started(self, stage: Stage) -> None:
        self._send("told", "started")

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        self._send("told", "advanced", done, total)

    def damaged(self, stage: Stage, damage: str) -> None:
        self._send("told", "damaged", damage)

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        pass


class _Text(io.TextIOBase):
    """A stream whose lines the first process prints."""

    def __init__(self, send: Send, name: str):
        self._send, self._name = send, name

    def write(self, text: str) -> int:
        self._send("said", self._name, text)
        return len(text)
