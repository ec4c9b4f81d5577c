"""Processes and threads: which of several processes this is, its device, and how many threads suit a busy machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState

THREADS = "OMP_NUM_THREADS"  # which torch, numpy and scikit-learn read when they are imported
_SAMPLE = 0.2  # seconds over which the load of the machine is measured


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
    os.environ[THREADS] = str(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _load(cores: int) -> float:
    """Return how many cores are busy now; the load average would still hold the command that ended a moment ago."""
    import psutil

    return cores * psutil.cpu_percent(interval=_SAMPLE) / 100
