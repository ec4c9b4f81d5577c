"""Runs `unlearn-audit` and Python scripts without importing PyTorch each time, which takes most of a small one's time.

A server is copied by fork from the process of the tests, which has imported nearly everything, and is then copied by
fork for each command. `unlearn-audit` and `python` on the PATH are this file: it hands arguments, folder, environment,
output and errors to the server, and ends with the code that comes back. Where the addresses of the Hub are, libraries
read when they are imported: they are those of the process of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

SOCKET = "UNLEARN_AUDIT_TEST_SERVER"


def fork_server(path: str, made_up: str) -> int:
    """Copy this process to one that does commands which are sent to the socket `path`, until killed; return its id.

    Before the first command it runs a few in the folder `made_up`: much is imported only where it is used.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    with listener:
        if server := os.fork():
            return server
        try:
            _leave_pytest()
            _serve(listener, made_up)
        except BaseException:  # noqa: BLE001 - whatever it is, the copy must not go on with the tests
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)


def _leave_pytest() -> None:
    """Write, log and warn as a process does that was started by itself."""
    import importlib
    import logging
    import warnings

    _use_own_streams()
    logging.root.handlers.clear()
    importlib.reload(warnings)  # pytest collects them
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


def _use_own_streams() -> None:
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115


def _serve(listener: socket.socket, made_up: str) -> None:
    connection, _ = listener.accept()
    _warm_up(made_up)
    while True:
        with connection:
            text, outputs, _, _ = socket.recv_fds(connection, 1 << 20, 2)
            if not os.fork():
                _run(json.loads(text), outputs, connection)
            for output in outputs:
                os.close(output)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        connection, _ = listener.accept()


def _warm_up(made_up: str) -> None:
    import gc
    from pathlib import Path

    from accelerate.state import AcceleratorState
    from typer.testing import CliRunner
    from unlearn_audit.cli.main import app

    from tests.made_up_audit import request_in

    Path(made_up).mkdir()
    request_in(Path(made_up))
    os.chdir(made_up)
    audit = "--candidate honest.parquet --forget forget.txt --original original.parquet --embeddings original.parquet"
    for line in (
        "train --data digits --output model --set epochs=0.05",
        "unlearn model --data digits --output other --forget-class 8 --method finetune --set training.epochs=0.05",
        "predict model --data digits --output model.parquet",
        f"audit {audit} {' '.join(f'--reference retrained-{k}.parquet' for k in range(3))} --output report",
        "verify report",
    ):
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, done.output
    AcceleratorState._reset_state(reset_partial_state=True)  # else a command's first training takes itself for alone
    gc.collect()
    gc.freeze()  # Trainer collects garbage at each start: no command goes through all that was imported again


def _run(request: dict, outputs: list[int], connection: socket.socket) -> None:
    import runpy
    import traceback

    from unlearn_audit.cli.main import main

    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    _use_own_streams()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    name, *sys.argv[1:] = request["arguments"]
    code = 1
    try:
        if name == "python":
            del sys.argv[0]
            paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
            sys.path[:1] = [os.path.dirname(sys.argv[0]), *filter(None, paths)]  # noqa: PTH120
            runpy.run_path(sys.argv[0], run_name="__main__")
        else:
            sys.argv[0] = name
            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        if code == 1 and sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([code]))
        os._exit(code)


def ask(arguments: list[str]) -> int:
    """Let the server do it, and return the exit code; what was killed kills its client too."""
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ[SOCKET])
        socket.send_fds(server, [json.dumps(request).encode()], [1, 2])
        code = server.recv(1)
    if not code:
        os.kill(os.getpid(), signal.SIGKILL)
    return code[0]


if __name__ == "__main__":
    sys.exit(ask([os.path.basename(sys.argv[0]), *sys.argv[1:]]))  # noqa: PTH119
