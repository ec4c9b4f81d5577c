"""Does one tool's part in that tool's own environment, a task at a time, and says what it took.

    PYTHON tests/benchmarks/peer_code/worker.py TOOL FOLDER [ARGUMENT ...]

It reads the name of a task a line, `unlearn`, `predict`, `evaluate` or `entry`, and answers each with a line of JSON.
Where a tool raises, the process ends with the traceback on standard error.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import os
import resource
import sys
import time
from pathlib import Path

from work import Work


def main() -> None:
    """Load the tool, say what it is, and do what is asked until there is no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a tool prints must not stand among the answers
    name, folder, *arguments = sys.argv[1:]
    module = importlib.import_module(f"with_{name}")
    tool = module.Tool(Work.load(Path(folder)), *arguments)
    versions = {package: importlib.metadata.version(package) for package in module.PACKAGES}
    print(json.dumps({"versions": versions, "notes": module.NOTES}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(measured(getattr(tool, line.strip()))), file=answers, flush=True)


def measured(task) -> dict[str, object]:
    """Do it; return its wall and CPU seconds, those of the processes that it started included, and what it returned."""
    gc.collect()
    start, cpu = time.perf_counter(), cpu_seconds()
    said = task()
    return {"wall": time.perf_counter() - start, "cpu": cpu_seconds() - cpu, "said": said}


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


if __name__ == "__main__":
    main()
