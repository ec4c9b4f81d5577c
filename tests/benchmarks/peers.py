"""The same small work by other tools and by this one, in turns: `python -m tests.benchmarks.peers FOLDER CLONE`.

Makes an environment for each tool in FOLDER, with uv and from the package index; the paper's code comes from CLONE
(github.com/polina-dolgova/local_teacher_distillation). Each has a process of its own that does what it is asked: three
epochs of random labels with fine-tuning, a pass of predictions, an evaluation. Writes docs/peers.json, and prints the
tables that stand in docs/performance.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measuring import Ratio, machine, ratio_of
from tests.benchmarks.peer_code.work import CLASSES, EPOCHS, FORGOTTEN, RATE, Work

CODE = Path(__file__).parent / "peer_code"
RESULT = Path(__file__).parents[2] / "docs" / "peers.json"
TASKS = {"unlearn": f"{EPOCHS} epochs of RL + FT", "predict": "predictions", "evaluate": "evaluation"}
TRAIN, TEST, REFERENCES, PAIRS = 512, 256, 3, 3
OURS = "unlearn-audit"
PAPER = "paper's code"


@dataclass(frozen=True)
class Tool:
    """A tool and its environment.

    Attributes:
        module: `with_…`.py of `peer_code`.
        requirements: what is installed: versions that are pinned, or options of `uv pip install`.
        undeclared: what its import needs beside that, though it does not declare it.
        entry: the call that its documentation begins with, where that is another than what is measured.
        arguments: of its process.
    """

    module: str
    requirements: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()
    entry: str = ""
    arguments: tuple[str, ...] = ()


def tools(clone: Path) -> dict[str, Tool]:
    """Return all by name; ours comes first and again with the precision that it chooses by itself."""
    torch = f"torch=={importlib.metadata.version('torch').partition('+')[0]}"
    scipy = ("scipy", "scikit-learn", "pandas", "matplotlib")
    return {
        OURS: Tool("unlearn_audit", arguments=("float32",)),
        f"{OURS}, precision by default": Tool("unlearn_audit", arguments=("auto",)),
        "torchunlearn": Tool("torchunlearn", ("torchunlearn==0.1.0", torch), scipy, "`Unlearn(…).finetune(…)`"),
        "supreme-unlearning": Tool(
            "supreme", ("supreme-unlearning==0.1.5",), ("debugpy", "setuptools<81"), "`run_unlearning(…)`"
        ),
        "erasus": Tool("erasus", ("erasus==0.2.0", torch), entry="`ErasusUnlearner(…).fit(…)`"),
        PAPER: Tool("paper", ("-r", str(clone / "requirements.txt")), arguments=(str(clone),)),
    }


def python_of(name: str, tool: Tool, folder: Path) -> str:
    """Return the Python of a tool's environment, which is made where it is not there."""
    if not tool.requirements:
        return sys.executable
    environment = folder / name.replace(" ", "-").replace("'", "")
    python = environment / "bin" / "python"
    if not python.is_file():
        uv = [sys.executable, "-m", "uv", "--quiet"]
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        subprocess.run([*uv, "venv", "--python", version, str(environment)], check=True)
        wanted = [*tool.requirements, *tool.undeclared]
        subprocess.run([*uv, "pip", "install", "--python", str(python), *wanted], check=True)
    return str(python)


class Worker:
    """A tool's process. One that has failed is not asked again: `error` says how it ended."""

    def __init__(self, command: Sequence[str], errors: Path):
        self.errors, self.error = errors, ""
        with errors.open("w") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )
        self.about = self._answer()

    def ask(self, task: str) -> dict[str, Any]:
        """Have it do a task; the answer is empty where it has failed."""
        if self.error or self.process.stdin is None:
            return {}
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if line:
            return json.loads(line)
        self.process.wait()
        self.error = first_error(self.errors.read_text(errors="replace")) or f"exit code {self.process.returncode}"
        return {}

    def close(self) -> None:
        """Let it end."""
        if self.process.stdin is not None and not self.error:
            self.process.stdin.close()
        self.process.wait()


def first_error(text: str) -> str:
    """Return the first exception of a chain, its name and the first line of its message: what the others came of."""
    lines = [line for line in text.splitlines() if line.partition(":")[0].endswith(("Error", "Exception"))]
    return lines[0].strip() if lines else ""


def make_work(folder: Path) -> Work:
    """Write the images, and train the original and the retrained models for an epoch."""
    from unlearn_audit import TrainingConfig, create_model, fit

    sys.path.insert(0, str(CODE))  # the parts of tools import `work` from there, as scripts do
    from with_unlearn_audit import image_data

    pixels, labels = pictures(TRAIN + TEST)
    forget = np.flatnonzero(labels[:TRAIN] == FORGOTTEN)
    work = Work(folder, pixels[:TRAIN], labels[:TRAIN], pixels[TRAIN:], labels[TRAIN:], forget[: len(forget) // 2])
    work.save()
    data = image_data(work)
    config = TrainingConfig(epochs=2, batch_size=64, learning_rate=0.1, augment=False, checkpoints=0)
    for seed, name in enumerate(["original", *(f"retrained-{k}" for k in range(REFERENCES))]):
        model = create_model("resnet20", data.train, seed=seed)
        fit(model, data.train.select(work.retain) if seed else data.train, config, seed=seed, progress=False)
        weights = {key: value.numpy() for key, value in model.timm_model.state_dict().items()}
        np.savez(folder / f"{name}.npz", **weights)
    return work


def images_name() -> str:
    """Return what the images are."""
    return "CIFAR-100, its first ten classes" if os.environ.get("UNLEARN_AUDIT_CIFAR100") else "generated"


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, 32, 32, 3) and labels of ten classes: CIFAR-100's first, or made-up ones."""
    from unlearn_audit import load_images

    source = os.environ.get("UNLEARN_AUDIT_CIFAR100")
    if source:
        images = load_images(source).train
        rows = np.flatnonzero(images.labels < CLASSES)[:count]
        return images.pixels[rows], images.labels[rows]
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), rng.integers(0, CLASSES, count)


def measure(workers: dict[str, Worker], pairs: int = PAIRS) -> tuple[list[Ratio], dict[str, dict[str, Any]]]:
    """Ask all in turns, once without counting; return the ratios to ours, and what each said at the end."""
    rounds, said = [], {name: {} for name in workers}
    for _ in range(pairs + 1):
        found = {}
        for task in TASKS:
            for name, worker in workers.items():
                if answer := worker.ask(task):
                    found[name, task] = answer["wall"], answer["cpu"]
                    said[name][task] = answer["said"]
        rounds.append(found)
    return ratios(rounds[1:]), said


def ratios(rounds: Sequence[dict[tuple[str, str], tuple[float, float]]]) -> list[Ratio]:
    """Return the ratio of each tool to ours in each task that it did in every round."""
    done = [key for key in rounds[0] if all(key in found for found in rounds)]
    return [
        ratio_of(TASKS[task], name, None, [(found[name, task], found[OURS, task]) for found in rounds], "")
        for name, task in done
        if name != OURS
    ]


def tables(found: dict[str, Any]) -> str:
    """Return the tables of what was measured and of how, as Markdown."""
    cells = {(ratio["against"], ratio["what"]): ratio for ratio in found["ratios"]}
    names = [name for name in found["tools"] if name != OURS]
    head = " | ".join(TASKS.values())
    lines = [f"| tool | {head} |", "| --- " * (len(TASKS) + 1) + "|"]
    for name in names:
        lines.append(" | ".join([f"| {name}", *(_cell(cells.get((name, what))) for what in TASKS.values())]) + " |")
    lines += ["", f"| tool and versions | {head} | its own entry point |", "| --- " * (len(TASKS) + 2) + "|"]
    for name, tool in found["tools"].items():
        versions = ", ".join(f"{package} {version}" for package, version in tool["versions"].items())
        undeclared = f"; undeclared: {', '.join(tool['undeclared'])}" if tool["undeclared"] else ""
        notes = " | ".join(tool["notes"].get(task, "") for task in TASKS)
        lines.append(f"| {name}: {versions}{undeclared} | {notes} | {tool['entry'] or tool['error']} |")
    return "\n".join(lines) + "\n"


def _cell(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "not done"
    return f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}), CPU {ratio['cpu_ratio']:.2f}"


def entry_of(command: Sequence[str], errors: Path) -> str:
    """Return what comes of the call that the tool's documentation begins with: how it fails, or that it runs."""
    worker = Worker(command, errors)
    worker.ask("entry")
    worker.close()
    return f"`{worker.error.replace('`', '')}`" if worker.error else "runs"


def finite(value: Any) -> Any:
    """Return a figure as JSON can hold it: infinity as text."""
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def about(tool: Tool, worker: Worker, entry: str, said: dict[str, Any]) -> dict[str, Any]:
    """Return what the result keeps of a tool."""
    kept = {key: worker.about.get(key, {}) for key in ("versions", "notes")}
    said = {task: {name: finite(value) for name, value in figures.items()} for task, figures in said.items()}
    return kept | {"undeclared": list(tool.undeclared), "entry": entry, "error": worker.error, "said": said}


def run(folder: Path, clone: Path) -> dict[str, Any]:
    """Set up in `folder`, measure, and return what is written."""
    known, start, images = tools(clone), time.perf_counter(), folder / "work"
    images.mkdir(parents=True, exist_ok=True)
    pythons = {name: python_of(name, tool, folder) for name, tool in known.items()}
    where, work = machine() | {"images": images_name()}, make_work(images)
    commands = {
        name: [pythons[name], str(CODE / "worker.py"), tool.module, str(images), *tool.arguments]
        for name, tool in known.items()
    }
    tried = {name: tool.entry for name, tool in known.items() if tool.entry}
    entries = {name: f"{entry}: {entry_of(commands[name], folder / 'entry.txt')}" for name, entry in tried.items()}
    workers = {name: Worker(command, folder / f"{name}.txt") for name, command in commands.items()}
    found, said = measure(workers)
    for worker in workers.values():
        worker.close()
    commit = subprocess.run(["git", "-C", clone, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    settings = {
        "training images": len(work.train),
        "test images": len(work.test),
        "forgotten": len(work.forget),
        "learning rate": RATE,
        "threads": os.environ["OMP_NUM_THREADS"],
        "the paper's commit": commit.stdout.strip(),
        "minutes": round((time.perf_counter() - start) / 60, 1),
    }
    kept = {n: about(known[n], worker, entries.get(n, ""), said[n]) for n, worker in workers.items()}
    return {"machine": where, "settings": settings, "tools": kept, "ratios": [asdict(ratio) for ratio in found]}


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for environments, images and models: some 12 GB")
    parser.add_argument("clone", type=Path, help="the paper's repository, cloned")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = run(arguments.folder.resolve(), arguments.clone.resolve())
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(tables(found))


if __name__ == "__main__":
    main()
