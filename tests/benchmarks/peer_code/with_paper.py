"""The part of the code of Dolgova and Stich 2026: its random labels, its predictions, and its metrics and attack.

Nothing of it is kept here: it is imported from a clone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from work import BATCH, CLASSES, EPOCHS, FORGOTTEN, RATE, Pictures, Work

PACKAGES = ("torch", "torchvision")
NOTES = {
    "unlearn": "`rl.unlearn_one_class`, labels anew in each epoch; 4 loading processes",
    "predict": "`compute_stats`: probabilities of every example, kept; 4 loading processes",
    "evaluate": "`collect_extra_metrics` without plots, and `compute_svc_mia_forget_efficacy`; 4 loading processes",
}
WORKERS = 4  # the default of its random labels and what its evaluation passes on


class Tool:
    def __init__(self, work: Work, clone: str):
        sys.path.insert(0, clone)
        self.folder, self.original = work.folder, work.network("original")
        self.train = Pictures(work.train, work.train_labels)
        self.forget, self.retain = (
            Pictures(work.train[rows], work.train_labels[rows]) for rows in (work.forget, work.retain)
        )
        self.test = Pictures(work.test, work.test_labels)

    def unlearn(self) -> dict[str, float]:
        from cifar.methods import rl

        self.unlearned = rl.unlearn_one_class(
            self.original,
            self.train,
            FORGOTTEN,
            class_fraction_to_forget=0.5,
            num_classes=CLASSES,
            num_epochs=EPOCHS,
            batch_size=BATCH,
            lr=RATE,
            weight_decay=0.0,
            random_label_mode="any",
            output_dir=Path(self.folder),
        )
        return {}

    def predict(self) -> dict[str, float]:
        from cifar.src.evaluation.metrics import compute_stats

        sets = {"train": self.train, "test": self.test}
        found = compute_stats({"unlearn": self.unlearned}, sets, BATCH, WORKERS, "cpu")["unlearn"]
        return {"predictions": sum(len(found[f"{name}_probs"]) for name in sets)}

    def evaluate(self) -> dict[str, float]:
        from cifar.src.evaluation.metrics import collect_extra_metrics
        from cifar.src.evaluation.svc_mia import compute_svc_mia_forget_efficacy

        sets = {"retain_dataset": self.retain, "forget_dataset": self.forget, "test_dataset": self.test}
        loading = {"batch_size": BATCH, "num_workers": WORKERS, "device": "cpu"}
        found = collect_extra_metrics(
            self.unlearned,
            self.original,
            **sets,
            class_to_forget=FORGOTTEN,
            point_topk_fraction=0.1,
            **loading,
            save_plots=False,
        )
        attack = compute_svc_mia_forget_efficacy(self.unlearned, **sets, **loading)
        return {name: found[name]["after_unlearning"] for name in ("retain_accuracy", "forget_accuracy")} | attack
