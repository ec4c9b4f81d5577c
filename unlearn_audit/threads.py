"""How many threads of the CPU PyTorch uses, so that two processes on one machine do not hold each other up.

Threads that are more than the free cores wait for each other at the end of every operation: two processes that each
take both of two cores are tens of times slower than with one thread each. Small models are fastest with one thread.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def choose_threads(cores: int, load: float) -> int:
    """Return how many of a machine's cores are free, at least 1.

    Args:
        cores: that this process may use.
        load: threads that ran or waited to run during the last minute, on average: the system's load average.
    """
    return max(1, min(cores, cores - round(load)))


def use_free_cores() -> None:
    """Let PyTorch use the cores that are free now; where `OMP_NUM_THREADS` is set, it says how many instead.

    Call it once, at the beginning of a program: later the load average counts the program itself.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    import torch

    torch.set_num_threads(choose_threads(_cores(), os.getloadavg()[0]))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Let PyTorch use so many threads inside the block; None leaves their number as it is."""
    if number is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
