"""Processes and threads: which of several processes this is, its device, and how much of a busy machine it may use."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState

THREADS = "OMP_NUM_THREADS"  # which torch, numpy and scikit-learn read when they are imported
_SAMPLE = 0.2  # seconds over which the load of the machine is measured
_is_frozen = False  # whether a block of this module keeps older objects out of the collection of garbage
_LIMITED: dict[str, str] = {}  # what this process set OMP_NUM_THREADS to, which nobody asked for


def process_state() -> PartialState:
    """Return Accelerate's state of this process, with gloo between CPU processes.

    Made without `cpu=True` on a machine without accelerator, the state would say that there is one process, until the
    first `TrainingArguments` makes it anew.
    """
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.accelerator.is_available())


def sensible_threads(cores: int, load: float, environment: Mapping[str, str]) -> int | None:
    """Return how many threads to compute with beside other work, or None to leave the number as it is.

    Threads that share a core wait for each other at every operation: two processes with two threads each on two cores
    can be tens of times slower than with one thread each.

    Args:
        cores: that this process may use.
        load: how many of them other processes keep busy.
        environment: where it sets `OMP_NUM_THREADS`, the number is left to it.
    """
    free = cores - round(load)
    if environment.get(THREADS) or free >= cores:
        return None
    return max(1, free)


def limit_threads() -> None:
    """Compute with the cores that other work leaves free, at least one; `OMP_NUM_THREADS`, where set, decides instead.

    The load is measured over 0.2 seconds. Processes that this one starts inherit the number.
    """
    if os.environ.get(THREADS):
        return
    cores = _cores()
    threads = sensible_threads(cores, _load(cores), os.environ)
    if threads is None:
        return
    os.environ[THREADS] = _LIMITED["threads"] = str(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def asked_threads() -> int | None:
    """Return how many threads a process shall compute with, where `OMP_NUM_THREADS` was set and not by this process."""
    asked = os.environ.get(THREADS, "")
    return int(asked) if asked.isdigit() and int(asked) and asked != _LIMITED.get("threads") else None


def free_cores() -> int:
    """Return how many cores other work leaves free, at least one; all of them for whoever sets `OMP_NUM_THREADS`.

    The load is what `limit_threads` found, or else measured over 0.2 seconds.
    """
    if "threads" in _LIMITED:
        return int(_LIMITED["threads"])
    cores = _cores()
    return cores if asked_threads() else max(1, cores - round(_load(cores)))


def has_accelerator() -> bool:
    """Whether PyTorch computes on something else than the CPU here."""
    import torch

    return bool(torch.accelerator.is_available())


def free_memory() -> int:
    """Return the bytes of memory that this machine, and the limit of its container, leave to this process."""
    import psutil

    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no such limit, or "max"
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free = min(free, max(0, limit - used + int(kept["inactive_file"])))  # what is given back when asked for
    return free


@contextlib.contextmanager
def imports_frozen() -> Iterator[None]:
    """Spare each training a quarter of a second: Trainer collects garbage at its start, over all that was imported."""
    gc.collect()
    with new_garbage_alone():
        yield


@contextlib.contextmanager
def new_garbage_alone() -> Iterator[None]:
    """Let collections of garbage look at what is made in this block alone, and collect that at its end.

    Where somebody froze what was there already, as a block around this one does, it is left at that.
    """
    global _is_frozen
    if _is_frozen or gc.get_freeze_count():  # which goes through all that is frozen: tens of milliseconds
        yield
        return
    gc.freeze()
    _is_frozen = True
    try:
        yield
    finally:
        _is_frozen = False
        gc.collect()
        gc.unfreeze()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _load(cores: int) -> float:
    """Return how many cores are busy now; the load average would still hold the command that ended a moment ago."""
    import psutil

    return cores * psutil.cpu_percent(interval=_SAMPLE) / 100
