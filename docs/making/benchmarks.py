"""Makes examples/benchmarks/ from what the study on all of CIFAR-100 kept of its predictions, and from its originals.

    python docs/making/cifar100.py --data uoft-cs/cifar100 --output runs/cifar100 --workers 16
    python docs/making/benchmarks.py runs/cifar100

The examples are the forget set, the rest of its class, the 1,000 nearest retained ones, 1,000 others and 1,000 of the
test set: not a random sample of CIFAR-100. The originals' weights lie in the first folder.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cifar100 import MODEL, ORIGINALS, TRAINING, TUNED_ON, UNAUGMENTED, Study

from unlearn_audit import Predictions
from unlearn_audit.calibration.benchmark import write_benchmark
from unlearn_audit.neighbourhood import find_neighbourhood

TARGET = Path(__file__).parents[2] / "examples" / "benchmarks"
TITLES = {"boy": 'Half of class "boy"', "road": 'Half of class "road"', "random": "500 random examples"}


def make(study: Study, forget: str) -> None:
    """Write one benchmark."""
    folder = study.output / "subset" / forget
    originals = [Predictions.load(folder / f"{name}.parquet") for name in ORIGINALS]
    retrained = [Predictions.load(path) for path in sorted(folder.glob("retrained-*.parquet"))]
    first, forgotten = originals[0], study.forget[forget]().ids
    is_forget = np.isin(first.example_ids, list(forgotten))
    nearness = find_neighbourhood(
        embeddings=np.asarray(first.embeddings, np.float32),
        is_forget=is_forget,
        is_retain=(first.splits == "train") & ~is_forget,
        labels=first.labels,
    ).nearness
    is_first = forget == next(iter(TITLES))
    write_benchmark(
        TARGET / f"cifar100_{forget}",
        {"originals": [replace(one, embeddings=None) for one in originals], "retrained": retrained},
        forgotten,
        (first.example_ids, nearness),
        weights=[study.output / "models" / name for name in ORIGINALS] if is_first else (),
        name=f"cifar100_{forget}",
        title=f"{TITLES[forget]} of CIFAR-100, ResNet-20, memorised",
        class_names=study.images.train.class_names,
        made=_made(study, is_first),
    )


def _made(study: Study, is_first: bool) -> dict[str, Any]:
    accuracy = {name: study.fact(f"train-{name}-{seed}-") for seed, name in enumerate(ORIGINALS)}
    return {
        "source": "uoft-cs/cifar100",
        "architecture": MODEL,
        "training": {**TRAINING, **UNAUGMENTED},
        "accuracy": {name: [round(fact[split], 3) for split in ("train", "test")] for name, fact in accuracy.items()},
        "predictions": "in bfloat16",
        "examples": "forget set, its class, 1,000 nearest, 1,000 others, 1,000 of the test set",
        "weights": "models/" if is_first else f"models/ of cifar100_{next(iter(TITLES))}: the originals are the same",
    }


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the folder of a study that is done")
    parser.add_argument("--data", default="uoft-cs/cifar100", help="the Hub's id, or a folder with its Parquet files")
    given = parser.parse_args()
    study = Study(given.data, given.study)
    for forget in TUNED_ON:
        make(study, forget)
        print(TARGET / f"cifar100_{forget}")


if __name__ == "__main__":
    main()
