"""Training and unlearning on a stock `transformers.Trainer`: `fit()` and `unlearn()`."""

from unlearn_audit.training.config import TrainingConfig
from unlearn_audit.training.fit import fit
from unlearn_audit.training.retrain import RetrainedModel, retrain
from unlearn_audit.training.running import Change, TrainingRun
from unlearn_audit.training.unlearn import training_examples, unlearn

__all__ = [
    "Change",
    "RetrainedModel",
    "TrainingConfig",
    "TrainingRun",
    "fit",
    "retrain",
    "training_examples",
    "unlearn",
]
