"""A model of a study on more cores than were at hand: `python -m tests.benchmarks.cores` prints its table.

It measures nothing. Stages are given to processes as the engine does it, longest chain first, each when those that it
needs are done. What it takes from measurements are the CPU seconds of stages and of an import, and how much slower a
stage is beside others. That more cores slow each other no more than two do is assumed.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage: its seconds alone on a core with one thread, and the stages that it needs."""

    seconds: float
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Costs:
    """CPU seconds, measured.

    Attributes:
        training: of the original or one retrained model.
        unlearning: of one method.
        predictions: of one model on all examples.
        audit: of all models.
        importing: of a process, before it does its first stage.
        inflation: how many times longer a stage takes where other cores work too.
    """

    training: float
    unlearning: float
    predictions: float
    audit: float
    importing: float = 7.0
    inflation: float = 1.0


# CPU seconds on one thread of an AMD EPYC, of the studies of `side_by_side.py` (1,024 images; four epochs of ResNet-8,
# two of ResNet-20); the inflation is that of their CPU seconds with two processes, less the imports.
MEASURED = {
    "resnet8": Costs(training=5.2, unlearning=0.24, predictions=0.76, audit=1.0, inflation=1.27),
    "resnet20": Costs(training=6.8, unlearning=0.56, predictions=2.5, audit=1.2, inflation=1.13),
}
# Twenty epochs of 50,000 images at 480 a second, 60,000 predictions at 610: ResNet-20 on all of CIFAR-100.
WHOLE = Costs(training=2083.0, unlearning=210.0, predictions=98.0, audit=20.0, inflation=1.13)
PROCESSES, REFERENCES = (1, 2, 4, 8, 16), (4, 8, 16)


def study(costs: Costs, references: int, methods: int = 1) -> dict[str, Stage]:
    """Return the stages of a study: an original, retrained models, methods, the predictions of each, and the audit."""
    models = {"original": Stage(costs.training)}
    models |= {f"retrained-{k}": Stage(costs.training) for k in range(references)}
    models |= {f"method-{m}": Stage(costs.unlearning, ("original",)) for m in range(methods)}
    predicted = {f"predictions of {name}": Stage(costs.predictions, (name,)) for name in models}
    return models | predicted | {"audit": Stage(costs.audit, tuple(predicted))}


def chains(stages: Mapping[str, Stage]) -> dict[str, int]:
    """Return how many stages the longest chain has that begins with each; they come after those that they need."""
    found = dict.fromkeys(stages, 1)
    for name, stage in reversed(stages.items()):
        for need in stage.needs:
            found[need] = max(found[need], found[name] + 1)
    return found


def makespan(stages: Mapping[str, Stage], processes: int, inflation: float = 1.0) -> float:
    """Return the seconds that `processes` take, each doing one stage after the other on a core of its own."""
    longest, waiting, done = chains(stages), dict(stages), set[str]()
    running: list[tuple[float, str]] = []
    now = 0.0
    factor = inflation if processes > 1 else 1.0
    while waiting or running:
        ready = [name for name, stage in waiting.items() if done.issuperset(stage.needs)]
        for name in sorted(ready, key=lambda name: -longest[name])[: processes - len(running)]:
            heapq.heappush(running, (now + waiting.pop(name).seconds * factor, name))
        now, finished = heapq.heappop(running)
        done.add(finished)
    return now


def predicted(costs: Costs, references: int, processes: int) -> float:
    """Return the wall seconds of a study: the imports of the command and of its processes, and the stages."""
    imports = costs.importing * (2 if processes > 1 else 1)
    return imports + makespan(study(costs, references), processes, costs.inflation)


def table() -> str:
    """Return how many times faster than one process a study is, as Markdown."""
    rows = [f"| study | K | {' | '.join(f'{n} cores' for n in PROCESSES[1:])} |", "| --- | ---: |" + " ---: |" * 4]
    studies = {**{f"{name}, 1,024 images": costs for name, costs in MEASURED.items()}, "resnet20, CIFAR-100": WHOLE}
    for name, costs in studies.items():
        for references in REFERENCES:
            alone = predicted(costs, references, 1)
            gains = [f"{alone / predicted(costs, references, n):.2f}" for n in PROCESSES[1:]]
            rows.append(f"| {name} | {references} | {' | '.join(gains)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
