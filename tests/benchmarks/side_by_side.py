"""Retrained models side by side in processes of this machine, beside one after the other, from the command line."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.inputs import IMAGES, encoded
from tests.benchmarks.measuring import Ratio, Work, compare

REFERENCES = 4
EPOCHS = {"resnet8": 4, "resnet20": 2}
CONFIGURATION = """\
data: {{source: {data}}}
forget: {{fraction: 0.05}}
model: {{name: {model}}}
training: {{epochs: {epochs}, batch_size: 64, precision: float32, checkpoints: 0}}
references: {references}
methods: {{gradient_ascent: {{training: {{epochs: 1, learning_rate: 1e-2, precision: float32}}}}}}
"""


def run() -> list[Ratio]:
    """Measure each model with two processes and with one; imports, reading and the audit are in both."""
    with tempfile.TemporaryDirectory() as folder:
        return [ratio for model in EPOCHS for ratio in measured(model, Path(folder))]


def measured(model: str, folder: Path, repeats: int = 1) -> list[Ratio]:
    """Measure studies of one model, each in a folder of its own below `folder`."""
    data = folder / "images"
    data.mkdir(exist_ok=True)
    encoded().to_parquet(data / "train.parquet")
    encoded().select(range(IMAGES // 4)).to_parquet(data / "test.parquet")
    config = folder / f"{model}.yaml"
    text = CONFIGURATION.format(data=data, model=model, epochs=EPOCHS[model], references=REFERENCES)
    config.write_text(text)
    numbers = itertools.count()

    def study(jobs: int) -> Work:
        return lambda: _study(config, folder / f"{model}-{next(numbers)}", jobs)

    what = f"a study of {model} with K = {REFERENCES}, two processes"
    note = f"{EPOCHS[model]} epochs of {IMAGES} images, a thread each; load {os.getloadavg()[0]:.1f} at the start"
    return compare(what, study(2), {"one process": (study(1), None)}, repeats=repeats, note=note)


def _study(config: Path, output: Path, jobs: int) -> None:
    command = [sys.executable, "-m", "unlearn_audit.cli", "run", str(config), "--output", str(output), "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--stage", "audit", "--jobs", str(jobs)], check=True, env=environment)
