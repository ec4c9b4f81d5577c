"""How long it takes to start."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.measuring import Ratio, timed

REPEATS = 7


def run() -> list[Ratio]:
    """Measure `import unlearn_audit` and `--help` beside Python's own start, in turns; the goals are in seconds."""
    ways = {
        "python": [sys.executable, "-c", "pass"],
        "import unlearn_audit": [sys.executable, "-c", "import unlearn_audit"],
        "unlearn-audit --help": [sys.executable, "-m", "unlearn_audit.cli", "--help"],
    }
    rounds = [{name: _timed(command) for name, command in ways.items()} for _ in range(REPEATS)]
    return [_more(rounds, "import unlearn_audit", 0.1), _more(rounds, "unlearn-audit --help", 0.4)]


def _timed(command: list[str]) -> tuple[float, float]:
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _more(rounds: list[dict[str, tuple[float, float]]], name: str, limit: float) -> Ratio:
    """The ratio is the limit over the seconds beyond Python's own start: at least 1 where the limit holds."""
    more, cpu = (sorted(max(1e-3, r[name][i] - r["python"][i]) for r in rounds) for i in (0, 1))
    middle = more[len(more) // 2]
    return Ratio(
        what=name,
        against=f"limit of {limit} s beyond Python's own start",
        ratio=limit / middle,
        low=limit / more[-1],
        high=limit / more[0],
        cpu_ratio=limit / cpu[len(cpu) // 2],
        goal=1,
        seconds=middle,
        repeats=len(rounds),
    )
