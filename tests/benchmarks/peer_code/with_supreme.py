"""SUPREME's part: its random labels, its accuracy and loss, and four of its metrics."""

from __future__ import annotations

import copy

import supreme
from supreme.eval_metrics.metrics_main import get_metric_scores
from supreme.methods.unlearning_methods.random_labeling import random_labeling
from supreme.utils.fabric.fabric_setup import initialize_fabric
from supreme.utils.generic_utils import create_dataloader
from supreme.utils.training.training_utils import evaluate
from torch.utils.data import ConcatDataset
from work import BATCH, CLASSES, Pictures, Work

PACKAGES = ("supreme-unlearning", "torch", "lightning")
METRICS = ["accuracy", "membership_inference_attack", "jsdiv", "activation_distance"]
NOTES = {
    "unlearn": "`random_labeling`: Adam; after each epoch its `evaluate` on the test set; 8 loading processes",
    "predict": "`evaluate`: accuracy and loss, keeps no predictions; 8 loading processes",
    "evaluate": f"`get_metric_scores` with {', '.join(METRICS)}, against one retrained model; "
    "the attack predicts one image at a time, with 32 loading processes",
}


class Tool:
    def __init__(self, work: Work):
        settings = {"precision": "32-true", "num_gpus": 1, "callbacks": [], "distributed_strategy": "auto"}
        self.fabric = initialize_fabric(settings)[0]
        self.original, self.retrained = work.network("original"), self.fabric.setup(work.network("retrained-0").eval())
        forget, retain = (
            Pictures(work.train[rows], work.train_labels[rows], repeat_label=True)
            for rows in (work.forget, work.retain)
        )
        test = Pictures(work.test, work.test_labels, repeat_label=True)
        self.sets = {"forget": forget, "retain": retain, "test": test, "all": ConcatDataset([forget, retain, test])}

    def loader(self, name: str, *, train: bool = False):
        return self.fabric.setup_dataloaders(create_dataloader(self.sets[name], BATCH, is_training=train))

    def unlearn(self) -> dict[str, float]:
        self.unlearned = random_labeling(
            fabric=self.fabric,
            num_gpus=1,
            wandb_logging_flag=False,
            type_of_unlearning_strategy="random_",
            num_labels=CLASSES,
            model=self.fabric.setup(copy.deepcopy(self.original)),
            retain_train_dataloader=self.loader("retain", train=True),
            retain_test_dataloader=self.loader("test"),
            forget_train_dataloader=self.loader("forget", train=True),
        )
        return {}

    def predict(self) -> dict[str, float]:
        found = evaluate(fabric=self.fabric, model=self.unlearned, test_dataloader=self.loader("all"))
        return {name: value["final_value"] for name, value in found["metric_value_dict"].items()}

    def evaluate(self) -> dict[str, float]:
        test = self.loader("test")
        found = get_metric_scores(
            fabric=self.fabric,
            num_gpus=1,
            eval_metrics=METRICS,
            lr=0.1,
            batch_size=BATCH,
            original_model=None,
            unlearned_model=self.unlearned,
            unlearning_teacher=None,
            retrained_model=self.retrained,
            retain_train_dataloader=self.loader("retain"),
            retain_test_dataloader=test,
            forget_train_dataloader=self.loader("forget"),
            forget_test_dataloader=self.loader("forget"),
            train_dataloader=None,
            test_dataloader=test,
            trainset=None,
            core_time_dict=None,
            memory_usage_dict=None,
            compute_utilisation_dict=None,
            wandb_logging_flag=False,
            retrain_time_elapsed_dict=None,
        )
        return {
            name: float(value["final_value"])
            for metric in found.values()
            for name, value in metric["test"]["unlearning_method"].items()
            if isinstance(value, dict)
        }

    def entry(self) -> None:
        options = "-net ResNet18 -dataset Cifar100 -type_of_unlearning_strategy random_ -classes 100 -forget_perc 0.1"
        chosen = "-weight_path none.pt -method random_labeling -precision 32-true -eval_metrics accuracy"
        supreme.run_unlearning([*options.split(), *chosen.split()])
