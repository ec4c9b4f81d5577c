"""Runs the paper's published code and ours side by side, and says whether they make the same unlearned models.

    git clone https://github.com/polina-dolgova/local_teacher_distillation CLONE
    python docs/making/side_by_side.py CLONE --cifar100 uoft-cs/cifar100

Both get the same ten classes of CIFAR-100, the same original ResNet-8 and the same settings, and unlearn the first half
of "boy" with several seeds. The mean Jensen-Shannon divergence in bits, between two seeds of one code and between the
codes, goes to docs/results/cifar100/side_by_side.json. Nothing of the paper's code is kept: it is imported from CLONE.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from unlearn_audit import ForgetSet, TrainingConfig, create_model, fit, load_images, predict, unlearn
from unlearn_audit.data import Images
from unlearn_audit.measures import registry as measures
from unlearn_audit.measures._outputs import Outputs
from unlearn_audit.methods.gradient_ascent import GradientAscent
from unlearn_audit.methods.local_teacher_distillation import LocalTeacherDistillation
from unlearn_audit.methods.random_labels import RandomLabels
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.processes import limit_threads

CLASSES = ("baby", "boy", "girl", "man", "woman", "road", "bicycle", "chair", "lawn_mower", "orange")
FORGOTTEN = CLASSES.index("boy")
RESULT = Path(__file__).parents[1] / "results" / "cifar100" / "side_by_side.json"
ORIGINAL = TrainingConfig(epochs=30, learning_rate=0.2, batch_size=64, weight_decay=1e-4, augment=False, checkpoints=0)
SEEDS = (1, 2, 3, 4, 5, 6)
SUPPORT = 500
# Rates at which each method forgets about as much as it should here; the rest is the authors'.
SETTINGS = {
    "GA": {"epochs": 5, "learning_rate": 2e-4, "batch_size": 64},
    "RL + FT": {"epochs": 5, "learning_rate": 1e-2, "batch_size": 64},
    "LTD": {"epochs": 5, "learning_rate": 1e-3, "batch_size": 64},
}


@dataclass(frozen=True)
class Task:
    """What both get: images (with the test images), the forget set and the original model."""

    train: Images
    test: Images
    forget: ForgetSet
    original: nn.Module


class PaperForm(nn.Module):
    """One of our ResNet-8 with the names of parts that the paper's code looks for, and logits as its output."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.wrapped = model
        net: Any = model.timm_model
        self.conv1, self.bn1 = net.conv1, net.bn1
        self.layer1, self.layer2, self.layer3 = net.layers
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (n, 3, h, w) to logits (n, c)."""
        return self.wrapped(pixel_values=x).logits


class PaperData:
    """Images as a torchvision data set: what the paper's loaders index."""

    def __init__(self, images: Images, prepare: Preprocessing, *, augment: bool):
        self.images, self.targets = images, images.labels.tolist()
        steps: list[Any] = [transforms.ToTensor(), transforms.Normalize(prepare.mean, prepare.std)]
        if augment:
            steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *steps]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images.pixels[row])), self.targets[row]


def ten_classes(images: Images) -> Images:
    """Return the examples of `CLASSES` alone, with labels 0 to 9."""
    found = [images.class_names.index(name) for name in CLASSES]
    chosen = images.select(np.flatnonzero(np.isin(images.labels, found)))
    return replace(
        chosen, labels=np.array([found.index(y) for y in chosen.labels]), class_names=CLASSES, fingerprint=""
    )


def make_task(source: str) -> Task:
    """Load the images, choose the first half of a class as the paper's code does, and train the original."""
    data = load_images(source)
    train, test = ten_classes(data.train), ten_classes(data.test)
    rows = np.flatnonzero(train.labels == FORGOTTEN)
    forget = ForgetSet.from_ids(train, train.ids[rows[: len(rows) // 2]].tolist())
    original = create_model("resnet8", train, seed=0)
    fit(original, train, ORIGINAL, seed=0, progress=False)
    return Task(train, test, forget, original)


def ours(task: Task, name: str, seed: int) -> nn.Module:
    """Unlearn with this package."""
    method = {
        "GA": GradientAscent(seed=seed),
        "RL + FT": RandomLabels(retain_share=1.0, seed=seed),
        "LTD": LocalTeacherDistillation(n_support=SUPPORT, targets_from="soft", seed=seed),
    }[name]
    config = TrainingConfig(**{**method.training_defaults, **SETTINGS[name], "checkpoints": 0})
    model = copy.deepcopy(task.original)
    unlearn(model, task.train, task.forget, method, config, progress=False)
    return model


def theirs(task: Task, name: str, seed: int) -> nn.Module:
    """Unlearn with the paper's code, as its command line would call it."""
    from cifar.methods import ga, rl
    from cifar.methods.distill import distill_labels

    prepare = Preprocessing.of(task.original)
    train = PaperData(task.train, prepare, augment=True)
    clean, test = (PaperData(images, prepare, augment=False) for images in (task.train, task.test))
    settings = SETTINGS[name]
    shared: dict[str, Any] = {
        "class_to_forget": FORGOTTEN,
        "class_fraction_to_forget": 0.5,
        "num_epochs": settings["epochs"],
        "batch_size": settings["batch_size"],
        "lr": settings["learning_rate"],
        "weight_decay": 1e-6,
        "seed": seed,
    }
    model = PaperForm(copy.deepcopy(task.original))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        output: dict[str, Any] = {"device": "cpu", "output_dir": Path(folder)}
        if name == "GA":
            made = ga.unlearn_one_class(model, train, clean, test, **shared, **output)
        elif name == "RL + FT":
            extra = {"num_classes": len(CLASSES), "random_label_mode": "any", "num_workers": 0}
            made = rl.unlearn_one_class(model, train, **shared, **extra, **output)
        else:
            made = distill_labels.unlearn_one_class(
                model, train, clean, **shared, **PAPER_TEACHER, **output, test_dataset=test
            )
    return made.wrapped.eval()


# What the paper's command line has as defaults, but for the size of the support and the number of classes.
PAPER_TEACHER = {
    "num_classes": len(CLASSES),
    "retain_fraction": 1.0,
    "retain_selection_mode": "random",
    "mode": "distill",
    "teacher_type": "resnet8",
    "n_support": SUPPORT,
    "support_epochs": 250,
    "support_batch_size": 256,
    "support_lr": 0.2,
    "support_weight_decay": 1e-4,
    "support_hidden_dim": 256,
    "support_dropout": 0.0,
    "temperature": 1.0,
    "retain_loss_weight": 1.0,
    "forget_loss_weight": 2.0,
    "support_selection_mode": "closest",
    "teacher_accuracy_threshold": 0.99,
    "num_workers": 0,
    "softlabels_target_mode": "soft",
}


def outputs(model: nn.Module, task: Task) -> dict[str, Outputs]:
    """Predict the forget set, retained examples of its class, all other retained examples, and test examples."""
    is_forget = task.forget.mask(task.train)
    same = (task.train.labels == FORGOTTEN) & ~is_forget
    train, test = predict(model, task.train), predict(model, task.test)
    groups = {"forget": is_forget, "same class": same, "other classes": ~is_forget & ~same}
    found = {name: (train.logits[rows], train.labels[rows]) for name, rows in groups.items()}
    found["test"] = (test.logits, test.labels)
    return {name: Outputs(torch.tensor(logits), torch.tensor(labels)) for name, (logits, labels) in found.items()}


def compared(mine: Sequence[dict[str, Outputs]], other: Sequence[dict[str, Outputs]]) -> dict[str, Any]:
    """Return by group the mean distance within each code and between them, and the mean confidence of each model."""
    js = measures.create("js")

    def mean(group: str, pairs: Iterable[tuple[dict[str, Outputs], dict[str, Outputs]]]) -> float:
        return round(fmean(float(js(a[group], b[group]).mean()) for a, b in pairs), 4)

    return {
        group: {
            "ours_between_seeds": mean(group, itertools.combinations(mine, 2)),
            "theirs_between_seeds": mean(group, itertools.combinations(other, 2)),
            "between_codes": mean(group, itertools.product(mine, other)),
            "ours_confidence": [confidence(model[group]) for model in mine],
            "theirs_confidence": [confidence(model[group]) for model in other],
        }
        for group in mine[0]
    }


def confidence(found: Outputs) -> float:
    """Return the mean of p(y)."""
    return round(float(found.label_log_probability.exp().mean()), 4)


def main() -> None:
    """Compare, and save what came out after each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="the paper's repository, cloned")
    parser.add_argument(
        "--cifar100", default="uoft-cs/cifar100", help="the Hub's id, or a folder with its Parquet files"
    )
    parser.add_argument("--methods", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.clone.resolve()))
    limit_threads()
    task = make_task(arguments.cifar100)
    codes: tuple[Callable[[Task, str, int], nn.Module], ...] = (ours, theirs)
    found: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    found |= {"original": {name: confidence(p) for name, p in outputs(task.original, task).items()}}
    for name in arguments.methods:
        mine, other = ([outputs(code(task, name, seed), task) for seed in SEEDS] for code in codes)
        found[name] = {"settings": SETTINGS[name], "seeds": len(SEEDS), "groups": compared(mine, other)}
        RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        print(name, json.dumps(found[name], indent=1), flush=True)


if __name__ == "__main__":
    main()
