"""Side-by-side measurement: the same work done in two ways, in turns, so that a busy machine slows both alike."""

from __future__ import annotations

import gc
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """How long another way takes, in units of ours: above 1, ours is faster.

    Attributes:
        what: our work.
        against: the other way.
        ratio: the median over repeats of other seconds / our seconds, each pair measured back to back.
        low: the smallest of them.
        high: the largest.
        cpu_ratio: the same of CPU seconds, which other processes on the machine disturb less.
        goal: what the ratio should be at least, None where it is only reported.
        seconds: ours, the median.
        repeats: pairs measured, after one that was not counted.
        note: what to know of it.
    """

    what: str
    against: str
    ratio: float
    low: float
    high: float
    cpu_ratio: float
    goal: float | None
    seconds: float
    repeats: int
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say whether the goal is met by the median, or by how much it is missed."""
        if self.goal is None:
            return "reported"
        return "met" if self.ratio >= self.goal else f"missed: {self.ratio / self.goal:.2f} of the goal"


def compare(
    what: str, ours: Work, others: Mapping[str, tuple[Work, float | None]], *, repeats: int = 3, note: str = ""
) -> list[Ratio]:
    """Measure `ours` and each of `others` (what it is: the work, and the goal) in turns, after one warm-up of each."""
    ways = {"": ours, **{against: work for against, (work, _) in others.items()}}
    rounds = [{name: timed(work) for name, work in ways.items()} for _ in range(repeats + 1)][1:]
    return [
        ratio_of(what, against, goal, [(r[against], r[""]) for r in rounds], note)
        for against, (_, goal) in others.items()
    ]


def timed(work: Work) -> tuple[float, float]:
    """Return the wall seconds and CPU seconds that `work` takes."""
    gc.collect()
    start, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return time.perf_counter() - start, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def ratio_of(what: str, against: str, goal: float | None, pairs: list[tuple], note: str) -> Ratio:
    wall = [other[0] / mine[0] for other, mine in pairs]
    cpu = [other[1] / max(mine[1], 1e-9) for other, mine in pairs]
    seconds = statistics.median(mine[0] for _, mine in pairs)
    median = statistics.median
    return Ratio(what, against, median(wall), min(wall), max(wall), median(cpu), goal, seconds, len(pairs), note)


def machine() -> dict[str, str]:
    """Describe what the figures were measured on, with its load."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "load": f"{os.getloadavg()[0]:.1f} processes at the start",
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bfloat16": "yes" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "no",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none: nothing here was measured on one",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
