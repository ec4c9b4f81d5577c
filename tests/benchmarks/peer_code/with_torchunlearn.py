"""torchunlearn's part: its Trainer with a loss, its logits, and its accuracies and support vector machine."""

from __future__ import annotations

import copy

import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchunlearn import RobModel
from torchunlearn.unlearn.easymode import Unlearn
from torchunlearn.unlearn.trainer import Trainer
from torchunlearn.utils.mia import MIA_SVC
from work import BATCH, CLASSES, EPOCHS, RATE, Pictures, Work

PACKAGES = ("torchunlearn", "torch")
NOTES = {
    "unlearn": "no random labels of its own: its `Trainer` with cross-entropy to labels drawn once",
    "predict": "`save_logits`: logits of every example, kept",
    "evaluate": "`eval_accuracy` on three sets, `save_logits`, `MIA_SVC`",
}


class RandomLabels(Trainer):
    """Cross-entropy, as a subclass of the package's Trainer says it."""

    def calculate_cost(self, batch):
        images, labels = batch
        return F.cross_entropy(self.rmodel(images), labels)


class Tool:
    def __init__(self, work: Work):
        self.work, self.model = work, RobModel(work.network("original"), CLASSES)
        self.sets = {
            "(R)": Pictures(work.train[work.retain], work.train_labels[work.retain]),
            "(F)": Pictures(work.train[work.forget], work.train_labels[work.forget]),
            "(Te)": Pictures(work.test, work.test_labels),
        }

    def loaders(self) -> dict[str, DataLoader]:
        return {name: DataLoader(images, BATCH) for name, images in self.sets.items()}

    def unlearn(self) -> dict[str, float]:
        self.unlearned = copy.deepcopy(self.model)
        relabelled = Pictures(self.work.train, self.work.random_labels())
        trainer = RandomLabels(self.unlearned)
        trainer.setup(f"SGD(lr={RATE}, momentum=0.9)")
        loader = DataLoader(relabelled, BATCH, shuffle=True)
        trainer.fit(loader, EPOCHS, record_type=None, save_type=None)
        return {}

    def predict(self) -> dict[str, float]:
        logits = self.unlearned.save_logits(self.loaders(), str(self.work.folder / "torchunlearn.pt"), overwrite=True)
        return {"predictions": sum(len(labels) for _, labels in logits.values())}

    def evaluate(self) -> dict[str, float]:
        accuracies = {name: self.unlearned.eval_accuracy(loader) for name, loader in self.loaders().items()}
        logits = self.unlearned.save_logits(self.loaders(), str(self.work.folder / "torchunlearn.pt"), overwrite=True)
        return accuracies | {name: float(value) for name, value in MIA_SVC(logits).items()}

    def entry(self) -> None:
        loaders = self.loaders()
        train = {"Retain": loaders["(R)"], "Forget": loaders["(F)"]}
        Unlearn(self.model, None, train, {"Test": loaders["(Te)"]}, None).finetune(1, RATE)
