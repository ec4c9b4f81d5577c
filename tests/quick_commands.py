"""Runs `unlearn-audit` in scripts without importing PyTorch each time, which takes most of a small command's time.

A server imports everything once, and is then copied by fork for each command. `unlearn-audit` on the PATH is this file:
it hands arguments, folder, environment, output and errors to the server, and ends with the code that comes back.
"""

from __future__ import annotations

import json
import os
import socket
import sys

SOCKET = "UNLEARN_AUDIT_TEST_SERVER"


def serve(path: str) -> None:
    """Listen at `path` until killed; a byte on standard output says that it listens."""
    import gc

    import unlearn_audit.cli.main
    import unlearn_audit.cli.tables

    import unlearn_audit.experiment
    import unlearn_audit.models
    import unlearn_audit.publishing.hub
    import unlearn_audit.reporting.folder
    import unlearn_audit.reporting.plots
    import unlearn_audit.training  # noqa: F401

    unlearn_audit.load_images("digits")  # imports scikit-learn
    gc.collect()
    gc.freeze()  # Trainer collects garbage at each start: no command goes through all that was imported again

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.write(1, b".")
        while True:
            connection, _ = listener.accept()
            with connection:
                text, outputs, _, _ = socket.recv_fds(connection, 1 << 20, 2)
                child = os.fork()
                if not child:
                    _run(json.loads(text), outputs)
                for output in outputs:
                    os.close(output)
                _, status = os.waitpid(child, 0)
                connection.sendall(bytes([os.waitstatus_to_exitcode(status) & 255]))


def _run(request: dict, outputs: list[int]) -> None:
    from unlearn_audit.cli.main import main

    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["unlearn-audit", *request["arguments"]]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ask(arguments: list[str]) -> int:
    """Let the server do it, and return the exit code."""
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(os.environ[SOCKET])
        socket.send_fds(server, [json.dumps(request).encode()], [1, 2])
        return server.recv(1)[0]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[1:]))
