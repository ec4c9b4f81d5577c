"""Runs the study on all of CIFAR-100 of which docs/results.md tells: models, tuning, unlearned models, audits.

    python docs/making/cifar100.py --data uoft-cs/cifar100 --output runs/cifar100 --workers 15

Made for one GPU that many processes share, under NVIDIA's MPS. What is done stays: a second call goes on. With
`--seconds`, models that are not begun by then are left out, and what there is gets audited. `--only ltd` runs the row
of one method. `results.py` makes the page from what is written to OUTPUT/reports and OUTPUT/facts; OUTPUT/subset holds
the predictions of a part of the examples, which become a benchmark.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unlearn_audit import (
    ForgetSet,
    Predictions,
    TrainingConfig,
    audit,
    create_model,
    fit,
    load_images,
    load_model,
    predict,
    save_model,
    unlearn,
)
from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.measures import registry as measures
from unlearn_audit.measures._outputs import Outputs
from unlearn_audit.methods import registry as methods

MODEL = "resnet20"
TRAINING = {"epochs": 20, "batch_size": 256, "learning_rate": 0.3, "weight_decay": 1e-4, "warmup": 0.05}
UNAUGMENTED = {"augment": False, "checkpoints": 0, "precision": "bfloat16"}  # so that the model memorises
REFERENCES, SEEDS, TUNING_SEED = 6, (1000, 2000), 10_000
ORIGINALS = ("original-0", "original-1")
# Where a method is tuned; "road", of the same size and kind as "boy", takes what was found there.
TUNED_ON = {"boy": "boy", "road": "boy", "random": "random"}
MAKING = ("train", "untrained", "untouched", "trial", "final")  # jobs that end with --seconds
TOLERANCES = {"level": 0.05, "pattern": 0.045}  # the policy's own
FT = {"epochs": 2, "batch_size": 256}
ALONE = {"epochs": 5, "batch_size": 64}
ADAM = {"optimizer": "adamw", "weight_decay": 1e-6, "scheduler": "constant", **FT}

ORACLE = "oracle_matching"

Values = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tried:
    """A method: its name in the registry, options and training, and what is tried: four values of one setting."""

    method: str
    values: Values
    training: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    setting: str = "learning_rate"
    at_random: Values | None = None  # in place of `values` where the forget set is random

    def tried(self, forget: str) -> Values:
        """Return the values that are tried on a forget set."""
        return self.at_random if self.at_random and forget == "random" else self.values

    def make(self, value: float, seed: int, oracle: Path) -> tuple[Any, TrainingConfig]:
        """Return the method and how it trains; the control takes a retrained model that no audit uses."""
        is_rate = self.setting == "learning_rate"
        extra = {"oracle": str(oracle)} if self.method == ORACLE else {}
        options = {**self.options, **extra, **({} if is_rate else {self.setting: value})}
        method = methods.load(self.method)(**options, seed=seed)
        training = {**method.training_defaults, **self.training, **({self.setting: value} if is_rate else {})}
        return method, TrainingConfig(**{**training, **UNAUGMENTED})


RESET = {"teacher": "reset", "teachers": 1, "n_support": 5000, "teacher_epochs": 5}
METHODS = {
    "gradient_ascent": Tried("gradient_ascent", (1e-4, 3e-4, 1e-3, 3e-3), ALONE),
    "random_labels": Tried("random_labels", (3e-4, 1e-3, 3e-3, 1e-2), ALONE),
    "finetune": Tried("finetune", (1e-2, 3e-2, 1e-1, 3e-1), FT),
    "random_labels_ft": Tried("random_labels", (1e-2, 3e-2, 1e-1, 3e-1), FT, {"retain_share": 1.0}),
    "gradient_ascent_ft": Tried("gradient_ascent", (3e-3, 1e-2, 3e-2, 1e-1), FT, {"retain_share": 1.0}),
    "salun": Tried("salun", (1e-2, 3e-2, 1e-1, 3e-1), FT),
    "scrub": Tried("scrub", (3e-5, 1e-4, 3e-4, 1e-3), {"epochs": 3, "batch_size": 256}),
    "neggrad_plus": Tried("neggrad_plus", (1e-4, 3e-4, 1e-3, 3e-3), {"epochs": 1, "batch_size": 512, "momentum": 0.9}),
    "ssd": Tried(
        "ssd", (50, 150, 500, 1500), options={"group": 64}, setting="selection", at_random=(0.5, 1.0, 2.0, 5.0)
    ),
    "amun": Tried("amun", (1e-3, 1e-2, 3e-2, 1e-1), FT),
    "eu_k": Tried("last_layers", (1e-2, 3e-2, 1e-1, 3e-1), FT, {"reset": True, "layers": 6}),
    "ltd": Tried("local_teacher_distillation", (1e-4, 3e-4, 1e-3, 3e-3), ADAM),
    "ltd_knn": Tried("local_teacher_knn", (1e-4, 3e-4, 1e-3, 3e-3), ADAM),
    "anchored_reset": Tried("anchored_local_distillation", (1e-4, 3e-4, 1e-3, 3e-3), options=RESET),
    "anchored_wide": Tried(
        "anchored_local_distillation",
        (1e-4, 3e-4, 1e-3, 3e-3),
        {"epochs": 1, "batch_size": 256},
        {**RESET, "retain_share": 1.0, "freeze_batchnorm": False},
    ),
    "oracle": Tried(ORACLE, (3e-4, 1e-3, 3e-3, 1e-2), FT),
    "ltd_10": Tried("local_teacher_distillation", (1e-4, 3e-4, 1e-3, 3e-3), {**ADAM, "epochs": 10}),
}
LONGEST = "ltd_10"


@dataclass(frozen=True)
class Job:
    """One piece of work: a function of this file, what it is called with, and what must be there before."""

    function: str
    arguments: tuple[Any, ...]
    needs: tuple[Job, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the folder of facts."""
        return "-".join([self.function, *map(str, self.arguments)])


class Study:
    """The folder of the study, and what each job does in it."""

    def __init__(self, data: str, output: Path):
        self.images, self.output = load_images(data), output
        train = self.images.train
        self.forget: dict[str, Callable[[], ForgetSet]] = {
            "boy": lambda: ForgetSet.by_class(train, "boy", fraction=0.5, seed=0),
            "road": lambda: ForgetSet.by_class(train, "road", fraction=0.5, seed=0),
            "random": lambda: ForgetSet.random(train, fraction=0.01, seed=0),
        }

    def train(self, name: str, seed: int, without: str) -> dict[str, Any]:
        """Train a model, on all examples or without a forget set, and predict with it."""
        examples = self.images.train
        if without:
            examples = examples.select(~self.forget[without]().mask(examples))
        model = create_model(MODEL, self.images.train, seed=seed)
        run = fit(model, examples, TrainingConfig(**TRAINING, **UNAUGMENTED), seed=seed, progress=False)
        return {"seconds": run.seconds, "examples": run.examples, **self._keep(model, name)}

    def untrained(self) -> dict[str, Any]:
        """Predict with the first original as it was before training."""
        return self._keep(create_model(MODEL, self.images.train, seed=0), "untrained")

    def untouched(self, forget: str) -> dict[str, Any]:
        """Compare the first original itself with the held-out retrained model: what doing nothing scores."""
        return self.distance(load_model(self.output / "models" / ORIGINALS[0]), forget)

    def trial(self, forget: str, label: str, value: float) -> dict[str, Any]:
        """Unlearn with one setting, and compare with the held-out retrained model."""
        model, cost = self._unlearned(forget, label, ORIGINALS[0], TUNING_SEED, value)
        return {**cost, **self.distance(model, forget)}

    def final(self, forget: str, label: str, original: str, seed: int) -> dict[str, Any]:
        """Unlearn with the best setting found."""
        value = self.best(forget, label)
        if value is None:
            return {"error": "every trial ended with weights that are not finite"}
        model, cost = self._unlearned(forget, label, original, seed, value)
        return {**cost, "value": value, **self._keep(model, f"{forget}-{label}-{original}-{seed}")}

    def best(self, forget: str, label: str) -> float | None:
        """Return the setting with the least objective; None where no trial came to an end."""
        on = TUNED_ON[forget]
        names = {value: Job("trial", (on, label, value)).name for value in METHODS[label].tried(on)}
        facts = {value: self.fact(name) for value, name in names.items()}
        found = {value: fact["objective"] for value, fact in facts.items() if "objective" in fact}
        return min(found, key=lambda value: found[value]) if found else None

    def distance(self, model: torch.nn.Module, forget: str) -> dict[str, Any]:
        """Compare level and pattern with the held-out retrained model, on three groups of training examples.

        The objective is the sum over groups of both, in units of the policy's tolerances. An untouched model, far from
        the held-out one on the forget set, scores badly.
        """
        held_out, js = load_model(self.output / "models" / f"held-out-{forget}"), measures.create("js")
        found: dict[str, Any] = {}
        for group, rows in self.groups(forget).items():
            examples = self.images.train.select(rows)
            own, other = (
                Outputs(torch.tensor(np.asarray(predict(each, examples).logits)), torch.tensor(examples.labels))
                for each in (model, held_out)
            )
            level = own.label_log_probability.exp().mean() - other.label_log_probability.exp().mean()
            found[group] = {"level": float(level), "pattern": float(js(own, other).mean())}
        found["objective"] = sum(
            abs(values[kind]) / tolerance for values in found.values() for kind, tolerance in TOLERANCES.items()
        )
        return found

    @cache  # noqa: B019 - one study a process
    def groups(self, forget: str) -> dict[str, np.ndarray]:
        """Return rows of the training images: the forget set, the 1,000 nearest retained examples, and 2,000 others."""
        mask = self.forget[forget]().mask(self.images.train)
        kept = Predictions.load(self.output / "predictions" / f"{ORIGINALS[0]}.parquet").embeddings
        if kept is None:
            raise ValueError("Expected the original's predictions with embeddings.")
        embeddings = kept[: len(mask)] / np.linalg.norm(kept[: len(mask)], axis=1, keepdims=True)
        order = np.argsort(-(embeddings @ embeddings[mask].mean(axis=0)))
        order = order[~mask[order]]
        others = np.random.default_rng(0).choice(order[len(order) // 40 :], 2000, replace=False)
        return {"forget": np.flatnonzero(mask), "near": order[:1000], "rest": others}

    def subset(self, forget: str) -> dict[str, Any]:
        """Keep the predictions of the originals and the retrained models on a part of the examples."""
        folder = self.output / "subset" / forget
        for path in (*self._files(*ORIGINALS, "untrained"), *self._files(f"retrained-{forget}-*")):
            whole = Predictions.load(path)
            rows = self.kept(forget, whole.labels, whole.splits)
            one = Predictions(
                example_ids=whole.example_ids[rows],
                splits=whole.splits[rows],
                labels=whole.labels[rows],
                logits=np.asarray(whole.logits[rows]).astype(np.float16),
                embeddings=whole.embeddings[rows].astype(np.float16) if path.stem == ORIGINALS[0] else None,
                metadata=whole.metadata,
            )
            folder.mkdir(parents=True, exist_ok=True)
            one.save(folder / path.name)
        return {}

    def kept(self, forget: str, labels: np.ndarray, splits: np.ndarray) -> np.ndarray:
        """Return rows of training and test predictions: forget set, its class, the nearest, others, and test ones."""
        groups, rng = self.groups(forget), np.random.default_rng(0)
        affected = np.unique(labels[groups["forget"]]) if forget != "random" else np.empty(0)
        same = np.isin(labels, affected)
        others = rng.choice(groups["rest"], 1000, replace=False)
        test = rng.choice(np.flatnonzero((splits == "test") & ~same), 1000, replace=False)
        return np.unique(np.concatenate([groups["forget"], groups["near"], others, test, np.flatnonzero(same)]))

    def _files(self, *patterns: str) -> list[Path]:
        folder = self.output / "predictions"
        return sorted(path for pattern in patterns for path in folder.glob(f"{pattern}.parquet"))

    def audited(self, forget: str, original: str) -> dict[str, Any]:
        """Audit what was unlearned from one original."""
        candidates = {label: self._files(f"{forget}-{label}-{original}-[0-9]*") for label in METHODS}
        result = audit(
            {label: list(map(str, paths)) for label, paths in candidates.items() if paths},
            list(map(str, self._files(f"retrained-{forget}-*"))),
            list(self.forget[forget]().ids),
            original=self._files(original)[0],
            untrained=self._files("untrained")[0],
            measures=("js",),
        )
        result.save(self.output / "reports" / f"{forget}-{original}")
        return {}

    def fact(self, name: str) -> dict[str, Any]:
        """Return what a job found; empty where it was not done."""
        path = self.output / "facts" / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def _unlearned(
        self, forget: str, label: str, original: str, seed: int, value: float
    ) -> tuple[torch.nn.Module, dict[str, Any]]:
        model = load_model(self.output / "models" / original)
        method, config = METHODS[label].make(value, seed, self.output / "models" / f"held-out-{forget}")
        run = unlearn(model, self.images.train, self.forget[forget](), method, config, progress=False)
        return model, {"seconds": run.seconds, "examples": run.examples}

    def _keep(self, model: torch.nn.Module, name: str) -> dict[str, float]:
        save_model(model, self.output / "models" / name)
        parts = [predict(model, images) for images in (self.images.train, self.images.test)]
        joined = {
            key: np.concatenate([np.asarray(getattr(part, key)) for part in parts])
            for key in ("example_ids", "splits", "labels", "logits", "embeddings")
        }
        correct = joined["logits"].argmax(axis=1) == joined["labels"]
        embeddings, logits = joined.pop("embeddings").astype(np.float32), joined.pop("logits").astype(np.float16)
        path = self.output / "predictions" / f"{name}.parquet"
        kept = embeddings if name in ORIGINALS else None
        Predictions(**joined, logits=logits, embeddings=kept, metadata={"model_id": name}).save(path)
        return {split: float(correct[joined["splits"] == split].mean()) for split in ("train", "test")}


def jobs(labels: Collection[str] = tuple(METHODS)) -> list[Job]:
    """List all of the study, each after what it needs."""
    originals = [Job("train", (name, seed, "")) for seed, name in enumerate(ORIGINALS)]
    models = [*originals, Job("untrained", ())]
    trials: dict[str, list[Job]] = {label: [] for label in labels}
    checks = []
    for number, forget in enumerate(TUNED_ON):
        held_out = Job("train", (f"held-out-{forget}", TUNING_SEED + number, forget))
        retrained = [
            Job("train", (f"retrained-{forget}-{k}", 100 * (number + 1) + k, forget)) for k in range(1, REFERENCES + 1)
        ]
        models += [held_out, *retrained]
        checks += [Job("untouched", (forget,), (originals[0], held_out)), Job("subset", (forget,), (*models,))]
        if TUNED_ON[forget] == forget:
            for label in labels:
                needs = (originals[0], held_out)
                trials[label] += [Job("trial", (forget, label, v), needs) for v in METHODS[label].tried(forget)]
    finals = [
        Job("final", (forget, label, original.arguments[0], seed), (original, *trials[label]))
        for seed in SEEDS
        for label in labels
        for forget in TUNED_ON
        for original in originals
    ]
    audits = [Job("audited", (forget, name), (*models, *finals)) for forget in TUNED_ON for name in ORIGINALS]
    unlearned = [*(trial for of in trials.values() for trial in of), *finals]
    unlearned.sort(key=lambda job: LONGEST in job.arguments)  # last: these are left out first where time ends
    return [*models, *checks, *unlearned, *audits]


_studies: list[Study] = []  # of this worker


def _start(data: str, output: Path) -> None:
    torch.set_num_threads(1)
    _studies.append(Study(data, output))


def work(job: Job) -> str:
    """Do a job in a worker, write down what it found, and return how it failed; a method that diverges is a finding."""
    (study,) = _studies
    try:
        found = getattr(study, job.function)(*job.arguments)
    except UnlearnAuditError as error:
        found = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - the other hundreds of jobs go on
        found = {"error": "".join(traceback.format_exception(error))}
    path = study.output / "facts" / f"{job.name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found.get("error", "").strip().rpartition("\n")[2]


def main() -> None:
    """Run all jobs, as many at once as there are workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="uoft-cs/cifar100", help="the Hub's id, or a folder with its Parquet files")
    parser.add_argument("--output", type=Path, default=Path("runs/cifar100"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=tuple(METHODS), help="these methods alone")
    parser.add_argument("--seconds", type=float, default=math.inf, help="then begin no other model, and audit")
    given = parser.parse_args()
    for name in ("models", "predictions", "reports", "facts"):
        (given.output / name).mkdir(parents=True, exist_ok=True)
    planned = jobs(given.only)
    done = {job for job in planned if (given.output / "facts" / f"{job.name}.json").is_file()}
    running: dict[Future[str], Job] = {}
    start = time.perf_counter()
    context = get_context("spawn")
    with ProcessPoolExecutor(given.workers, context, _start, (given.data, given.output.resolve())) as pool:
        while len(done) < len(planned):
            late = time.perf_counter() - start > given.seconds
            if late:  # what is not begun is left out of the audits
                done |= {job for job in planned if job.function in MAKING and job not in running.values()}
            waiting = (job for job in planned if job not in done and job not in running.values())
            for job in [job for job in waiting if done.issuperset(job.needs)][: given.workers - len(running)]:
                running[pool.submit(work, job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED, timeout=5).done:
                done.add(job := running.pop(future))
                at = f"{time.perf_counter() - start:6.0f} s  {len(done)} of {len(planned)}  {job.name}"
                print(at + (f"  FAILED: {error}" if (error := future.result()) else ""), flush=True)


if __name__ == "__main__":
    main()
