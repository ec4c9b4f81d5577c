"""`python -m tests.benchmarks [CASE ...]`: measure, print, and write docs/benchmarks.json and docs/benchmarks.md."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.inputs import images
from tests.benchmarks.measuring import Ratio, machine

CASES = ("start", "training", "prediction", "statistics", "local_teacher", "side_by_side")
DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Run the cases; the files in docs are written when all have run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES, help=f"of {', '.join(CASES)}; all by default")
    cases = parser.parse_args().cases
    start, where = time.perf_counter(), machine() | {"images": images().name}
    ratios: list[Ratio] = []
    for case in cases:
        for ratio in importlib.import_module(f"tests.benchmarks.{case}").run():
            print(f"{ratio.what} | {ratio.against} | {_figures(ratio)} | {ratio.verdict}", flush=True)
            ratios.append(ratio)
    where["minutes"] = f"{(time.perf_counter() - start) / 60:.1f}"
    if tuple(cases) == CASES:
        write(ratios, where)


def _figures(ratio: Ratio) -> str:
    return f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f}), CPU {ratio.cpu_ratio:.2f}"


def write(ratios: Sequence[Ratio], where: dict[str, str]) -> None:
    """Write the JSON and the page."""
    DOCS.mkdir(exist_ok=True)
    found = {"machine": where, "ratios": [dataclasses.asdict(r) | {"verdict": r.verdict} for r in ratios]}
    (DOCS / "benchmarks.json").write_text(json.dumps(found, indent=1) + "\n")
    (DOCS / "benchmarks.md").write_text(page(ratios, where))


def page(ratios: Sequence[Ratio], where: dict[str, str]) -> str:
    """Return the page as Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "`make bench` wrote this page. A ratio is the other way's seconds over ours, so above 1 ours is faster. Both",
        "are measured in turns in one run: the median over pairs, and the smallest and largest pair. The ratio of CPU",
        "seconds stands beside it, because other processes disturb it less.",
        "",
        *(f"- {name}: {value}" for name, value in where.items()),
        "",
        "| what | against | ratio | CPU ratio | goal | | our seconds | pairs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_row(ratio) for ratio in ratios),
        "",
        *(f"- {note}" for note in dict.fromkeys(f"{r.what}: {r.note}." for r in ratios if r.note)),
    ]
    return "\n".join(lines) + "\n"


def _row(ratio: Ratio) -> str:
    goal = "" if ratio.goal is None else f"≥ {ratio.goal:.2g}"
    return (
        f"| {ratio.what} | {ratio.against} | {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f}) | "
        f"{ratio.cpu_ratio:.2f} | {goal} | {ratio.verdict} | {ratio.seconds:.3g} | {ratio.repeats} |"
    )


if __name__ == "__main__":
    main()
