"""erasus's part: its trainer with two steps of a module, its accuracies, and its benchmark and metrics."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from erasus import ErasusUnlearner, UnlearningModule, UnlearningTrainer
from erasus.evaluation import UnlearningBenchmark
from erasus.metrics.metric_suite import MetricSuite
from torch.utils.data import DataLoader, TensorDataset
from work import BATCH, CLASSES, EPOCHS, RATE, Work, tensors

PACKAGES = ("erasus", "torch")
NOTES = {
    "unlearn": "no random labels of its own: `UnlearningTrainer` with a module of two steps; the forget set, then the "
    "retain set; images as tensors, made beforehand",
    "predict": "`MetricSuite` with accuracy: keeps no predictions",
    "evaluate": "`UnlearningBenchmark('general')` against one retrained model, and accuracy and `mia`",
}


class RandomLabels(UnlearningModule):
    """The package's own form of a method: a loss for each of the two sets."""

    def forget_step(self, batch, batch_idx):
        images, labels = batch
        return F.cross_entropy(self.model(images), torch.randint(CLASSES, labels.shape))

    def retain_step(self, batch, batch_idx):
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def configure_optimizers(self):
        return torch.optim.SGD(self.model.parameters(), RATE, momentum=0.9)


class Tool:
    def __init__(self, work: Work):
        images, labels = tensors(work.train), torch.from_numpy(work.train_labels)
        self.forget, self.retain = (TensorDataset(images[r], labels[r]) for r in (work.forget, work.retain))
        self.all = TensorDataset(
            torch.cat([images, tensors(work.test)]), torch.cat([labels, torch.from_numpy(work.test_labels)])
        )
        self.original, self.retrained = work.network("original"), work.network("retrained-0").eval()

    def unlearn(self) -> dict[str, float]:
        module = RandomLabels(copy.deepcopy(self.original))
        trainer = UnlearningTrainer(max_epochs=EPOCHS, validate_every=0)
        loaders = (DataLoader(images, BATCH, shuffle=True) for images in (self.forget, self.retain))
        self.unlearned = trainer.fit(module, *loaders).model
        return {}

    def predict(self) -> dict[str, float]:
        return numbers(MetricSuite(["accuracy"]).run(self.unlearned, DataLoader(self.all, BATCH), None))

    def evaluate(self) -> dict[str, float]:
        forget, retain = (DataLoader(images, BATCH) for images in (self.forget, self.retain))
        report = UnlearningBenchmark("general").evaluate(self.unlearned, forget, retain, gold_model=self.retrained)
        found = {name: result.mean for name, result in report.metric_results.items()}
        return found | numbers(MetricSuite(["accuracy", "mia"]).run(self.unlearned, forget, retain))

    def entry(self) -> None:
        forget, retain = (DataLoader(images, BATCH) for images in (self.forget, self.retain))
        ErasusUnlearner(self.original, strategy="gradient_ascent").fit(forget, retain, epochs=1)


def numbers(found: dict[str, object]) -> dict[str, float]:
    """Return the figures among what a suite says; what it could not compute stands there as text."""
    return {name: value for name, value in found.items() if name != "_meta"}
