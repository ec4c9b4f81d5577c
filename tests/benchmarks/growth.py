"""How an audit's cost grows: `python -m tests.benchmarks.growth` fits exponents and writes docs/cost-growth.{json,svg}.

Discrepancies of a candidate and K references by all measures in 30 groups, in memory, on one thread, in CPU seconds:
examples, classes and references grow in turn while the other two stand still.
"""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from tests.benchmarks.__main__ import DOCS
from tests.benchmarks.measuring import machine
from unlearn_audit.auditing.discrepancy import discrepancies, members_of
from unlearn_audit.measures import registry
from unlearn_audit.predictions import Predictions

AXES = {
    "examples": [(n, 10, 3) for n in (1_000, 10_000, 100_000, 1_000_000)],
    "classes": [(10_000, c, 3) for c in (10, 32, 100, 316, 1_000)],
    "references": [(10_000, 10, k) for k in (2, 4, 8, 16, 32)],
}
GROUPS, REPEATS = 30, 3


def main() -> None:
    """Measure, fit, draw."""
    torch.set_num_threads(1)
    found = {}
    for place, (axis, sizes) in enumerate(AXES.items()):
        seconds = [cost(*size) for size in sizes]
        values = [size[place] for size in sizes]
        found[axis] = {"values": values, "seconds": seconds, "sizes": sizes} | fit(values, seconds)
        print(axis, values, [round(s, 4) for s in seconds], fit(values, seconds), flush=True)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "cost-growth.json").write_text(json.dumps({"machine": machine(), "axes": found}, indent=1) + "\n")
    draw(found)


def cost(examples: int, classes: int, references: int) -> float:
    """Return the least CPU seconds of the repeats."""
    models = [_made_up(seed, examples, classes) for seed in range(references + 1)]
    group = np.random.default_rng(0).integers(0, GROUPS, examples)
    measures = [registry.create(name) for name in registry.names()]
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        discrepancies(models[:1], models[1:], members_of(group, GROUPS), measures)
        seconds.append(time.process_time() - start)
    return min(seconds)


def _made_up(seed: int, examples: int, classes: int) -> Predictions:
    logits = np.random.default_rng(seed).standard_normal((examples, classes), np.float32)
    labels = np.random.default_rng(0).integers(0, classes, examples)
    return Predictions(np.arange(examples).astype(str), np.full(examples, "train"), labels, logits)


def fit(values: list[int], seconds: list[float]) -> dict[str, float]:
    """Return the exponent of a power law over all sizes (least squares on logarithms), and between the last two."""
    x, y = np.log(values), np.log(seconds)
    return {"exponent": float(np.polyfit(x, y, 1)[0]), "last": float((y[-1] - y[-2]) / (x[-1] - x[-2]))}


def draw(found: dict[str, dict]) -> None:
    """Write the plot."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "unlearn-audit"
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for plot, (axis, given) in zip(figure.subplots(1, 3), found.items(), strict=True):
        plot.loglog(given["values"], given["seconds"], "o-")
        plot.set(
            xlabel=axis, ylabel="CPU seconds", title=f"exponent {given['exponent']:.2f}, at the end {given['last']:.2f}"
        )
        plot.grid(alpha=0.3)
    figure.savefig(DOCS / "cost-growth.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
