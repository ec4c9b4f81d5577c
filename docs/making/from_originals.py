"""Unlearns again from the originals that the shipped benchmarks begin from, two seeds a method, and audits them.

    python docs/making/from_originals.py --data uoft-cs/cifar100 --output runs/from_originals

What a CPU can do of the study (`cifar100.py`), since its originals' weights and its retrained models' predictions are
kept in examples/benchmarks/: each method at the setting that the second run's trials found, then the audit by the
benchmark. What is done stays: a second call goes on. With `--seconds`, no model is begun after that time, and what
there is gets audited. `results.py twice OUTPUT` saves what the page shows.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import second_run
import torch
from cifar100 import METHODS, MODEL, SEEDS, TRAINING, TUNED_ON, UNAUGMENTED

from unlearn_audit import (
    ForgetSet,
    Predictions,
    TrainingConfig,
    create_model,
    fit,
    load_images,
    load_model,
    predict,
    unlearn,
)
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.calibration.benchmark import Benchmark
from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import run_audit

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"
ORIGINALS = ("1", "2")
LABELS = (
    *("ltd", "random_labels_ft", "gradient_ascent", "random_labels", "finetune", "salun", "amun", "neggrad_plus"),
    *("scrub", "gradient_ascent_ft", "ltd_knn", "anchored_wide", "ssd"),
)


class Final(NamedTuple):
    """One unlearned model: of which forget set, by which method, from which original, with which seed."""

    forget: str
    label: str
    original: str
    seed: int

    @property
    def name(self) -> str:
        """Its name among the facts and predictions."""
        return f"{self.forget}-{self.label}-{self.original}-{self.seed}"


def finals(forgets: list[str], labels: list[str]) -> Iterator[Final]:
    """List all models, so that each seed of a forget set is whole before the next one begins."""
    for forget in forgets:
        for seed in SEEDS:
            yield from (Final(forget, label, original, seed) for label in labels for original in ORIGINALS)


def best(forget: str, label: str) -> float:
    """Return the setting with the least objective in the second run's trials."""
    found, on = second_run.facts(), TUNED_ON[forget]
    tried = {value: found.get(f"trial-{on}-{label}-{value}", {}) for value in METHODS[label].tried(on)}
    return min(tried, key=lambda value: float(tried[value].get("objective", math.inf)))


def benchmark_of(forget: str) -> Benchmark:
    """Return the benchmark of a forget set."""
    return Benchmark.load(BENCHMARKS / f"cifar100_{forget}")


def make(final: Final, data: str, output: Path) -> str:
    """Unlearn, and keep predictions of the benchmark's examples and what it cost; return how it failed, if so."""
    torch.set_num_threads(1)
    images, benchmark = load_images(data), benchmark_of(final.forget)
    forgotten = ForgetSet.from_ids(images.train, Forgotten.read(benchmark.folder / "forget.json").ids)
    model = load_model(BENCHMARKS / "cifar100_boy" / "models" / f"model-0{final.original}")
    method, config = METHODS[final.label].make(best(final.forget, final.label), final.seed, Path())
    cpu = time.process_time()
    try:
        run = unlearn(model, images.train, forgotten, method, config, progress=False)
    except UnlearnAuditError as error:
        found: dict[str, Any] = {"error": str(error)}
    else:
        found = {"seconds": run.seconds, "cpu_seconds": time.process_time() - cpu, "examples": run.examples}
        retrained = Predictions.load(next(iter(benchmark.models("retrained").values())).predictions[0])
        parts = [part.select(np.isin(part.ids, retrained.example_ids)) for part in (images.train, images.test)]
        predicted = [predict(model, part, precision="bfloat16") for part in parts]
        columns = {
            name: np.concatenate([np.asarray(getattr(each, name)) for each in predicted])
            for name in ("example_ids", "splits", "labels", "logits")
        }
        Predictions(**columns, metadata={"model_id": final.name}).save(output / f"predictions/{final.name}.parquet")
    text = json.dumps(second_run.short(found), indent=1)
    (output / "facts" / f"{final.name}.json").write_text(text + "\n", encoding="utf-8")
    return found.get("error", "")


def retraining(data: str, forget: str) -> float:
    """Return the CPU seconds of retraining once, on one thread: 20 epochs, of which a tenth of one is measured."""
    torch.set_num_threads(1)
    images = load_images(data)
    part = images.train.select(np.arange(0, len(images.train), 10))
    config = TrainingConfig(**{**TRAINING, **UNAUGMENTED, "epochs": 1})
    cpu = time.process_time()
    fit(create_model(MODEL, images.train, seed=0), part, config, seed=0, progress=False)
    kept = len(images.train) - benchmark_of(forget).about.forgotten
    return (time.process_time() - cpu) * TRAINING["epochs"] * kept / len(part)


def _confidence(path: Path, forgotten: Collection[str]) -> float:
    """Return a model's mean confidence in the label on the forget set."""
    one = Predictions.load(path)
    rows = np.isin(one.example_ids, list(forgotten))
    logits = torch.tensor(np.asarray(one.logits)[rows]).float()
    return float(logits.softmax(1).gather(1, torch.tensor(one.labels[rows])[:, None]).mean())


def audited(forget: str, original: str, output: Path) -> AuditReport | None:
    """Audit what was unlearned from one original against the benchmark's retrained models.

    How well each model recognises the forget set is written to its facts: the report has the mean over seeds.
    """
    found, benchmark = output / "predictions", benchmark_of(forget)
    candidates = {
        label: benchmark.own_examples(ModelFiles(tuple(map(str, paths))), output / "cut" / f"{forget}-{original}")
        for label in LABELS
        if (paths := sorted(found.glob(f"{forget}-{label}-{original}-*.parquet")))
    }
    if not candidates:
        return None
    forgotten = Forgotten.read(benchmark.folder / "forget.json").ids
    for path in found.glob(f"{forget}-*-{original}-*.parquet"):
        fact = output / "facts" / f"{path.stem}.json"
        known = {**json.loads(fact.read_text(encoding="utf-8")), "confidence": _confidence(path, forgotten)}
        fact.write_text(json.dumps(second_run.short(known), indent=1) + "\n", encoding="utf-8")
    originals = list(benchmark.models("originals").values())
    request = benchmark.request(candidates, title=f"{benchmark.about.title}: original {original}")
    request = replace(request, original=originals[ORIGINALS.index(original)], measures=("js",))
    return run_audit(request).report


def main() -> None:
    """Make all models, as many at once as there are workers, then audit them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="uoft-cs/cifar100", help="the Hub's id, or a folder with its Parquet files")
    parser.add_argument("--output", type=Path, default=Path("runs/from_originals"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--forget", nargs="+", choices=TUNED_ON, default=tuple(TUNED_ON), help="these alone")
    parser.add_argument("--only", nargs="+", choices=LABELS, default=LABELS, help="these alone")
    parser.add_argument("--seconds", type=float, default=math.inf, help="then begin no other model, and audit")
    given = parser.parse_args()
    for folder in ("facts", "predictions", "reports"):
        (given.output / folder).mkdir(parents=True, exist_ok=True)
    planned = list(finals(given.forget, given.only))
    waiting = [final for final in planned if not (given.output / "facts" / f"{final.name}.json").is_file()]
    start, done = time.perf_counter(), len(planned) - len(waiting)
    with ProcessPoolExecutor(given.workers, get_context("spawn")) as pool:
        running = {}
        while waiting or running:
            if time.perf_counter() - start > given.seconds:
                waiting.clear()
            while waiting and len(running) < given.workers:
                final = waiting.pop(0)
                running[pool.submit(make, final, given.data, given.output)] = final
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                final, done = running.pop(future), done + 1
                at = f"{time.perf_counter() - start:6.0f} s  {done} of {len(planned)}  {final.name}"
                print(at + (f"  FAILED: {error}" if (error := future.result()) else ""), flush=True)
    for forget in given.forget:
        cost = {"cpu_seconds": retraining(given.data, forget)}
        (given.output / "facts" / f"{forget}-retraining.json").write_text(json.dumps(cost) + "\n", encoding="utf-8")
        for original in ORIGINALS:
            if report := audited(forget, original, given.output):
                path = given.output / "reports" / f"{forget}-{original}.json"
                path.write_text(report.to_json() + "\n", encoding="utf-8")
                print(path)


if __name__ == "__main__":
    main()
