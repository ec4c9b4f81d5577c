"""`fit()`: training the original, or a model retrained without the forget set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn
from transformers import TrainerCallback

from unlearn_audit.data.images import Images
from unlearn_audit.models.origin import Origin
from unlearn_audit.models.training_record import record_training
from unlearn_audit.training.callbacks import EpochDraws, FiniteWeights
from unlearn_audit.training.config import TrainingConfig
from unlearn_audit.training.running import TrainingRun, example_dataset, run_trainer

if TYPE_CHECKING:
    from unlearn_audit.data.forget import ForgetSet


def fit(
    model: nn.Module,
    images: Images,
    config: TrainingConfig,
    *,
    seed: int,
    output_dir: str | Path | None = None,
    forget: ForgetSet | None = None,
    progress: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
) -> TrainingRun:
    """Train `model` on `images`, without the forget set if one is given: the original, or a retrained model.

    A run that was interrupted goes on from its last checkpoint in `output_dir`, with the same result. Checkpoints lie
    in a folder for each set of inputs (model, examples, config, seed, versions): no run goes on from another one's.

    Args:
        model: an untrained model, from `create_model`; it is trained in place.
        images: the training examples.
        config: how to train.
        seed: of order, augmentation and dropout.
        output_dir: for checkpoints; None makes none.
        forget: leave these out.
        progress: show a progress bar.
        callbacks: more callbacks for the Trainer.
    """
    rows = None if forget is None else np.flatnonzero(~forget.mask(images))
    dataset = example_dataset(model, images, config, seed, rows=rows)
    settings = _settings(model, config)
    run = run_trainer(model, dataset, config, seed, output_dir, [EpochDraws(), FiniteWeights(), *callbacks], progress)
    record_training(run.model, settings)
    return run


def _settings(model: Any, config: TrainingConfig) -> dict[str, Any]:
    """Return how `model` is about to be trained, without what sets two runs of the same recipe apart."""
    parameters, training = list(model.parameters()), config.decisive()
    del training["compile"]  # it changes the time alone
    return {
        "architecture": getattr(model.config, "architecture", None) or model.config.model_type,
        "parameters": sum(p.numel() for p in parameters),
        "trained parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "started from": Origin.of(model).base_model,
        **training,
        "precision": "bfloat16" if config.uses_bfloat16 else "float32",
    }
