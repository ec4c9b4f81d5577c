"""`unlearn()`: a stock Trainer with an unlearning method as its callback."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.images import Images
from unlearn_audit.models.prediction import predict
from unlearn_audit.models.training_record import record_training
from unlearn_audit.training.callbacks import UnlearningMethod
from unlearn_audit.training.config import TrainingConfig
from unlearn_audit.training.running import Change, TrainingRun, example_dataset, run_trainer

if TYPE_CHECKING:
    from unlearn_audit.data.forget import ForgetSet


def training_examples(
    model: nn.Module, images: Images, forget: ForgetSet, *, augment: bool = True, seed: int = 0
) -> ExampleDataset:
    """Return all training examples with `is_forget`, as `model` takes them: what a method chooses from."""
    config = TrainingConfig(augment=augment)
    return example_dataset(model, images, config, seed, is_forget=forget.mask(images))


def unlearn(
    model: nn.Module,
    images: Images,
    forget: ForgetSet,
    method: UnlearningMethod,
    config: TrainingConfig | None = None,
    *,
    output_dir: str | Path | None = None,
    progress: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
) -> TrainingRun:
    """Make `model`, the original, forget: a stock Trainer with `method` as its callback. It is changed in place.

    Args:
        model: the original model.
        images: the training examples, forget and retain.
        forget: which of them to forget.
        method: the unlearning method; its seed seeds the run.
        config: how to train; by default the paper's settings for the method.
        output_dir: for checkpoints, from which an interrupted run with the same inputs goes on; None makes none.
        progress: show a progress bar.
        callbacks: more callbacks for the Trainer.
    """
    config = config or TrainingConfig(**method.training_defaults)
    before = _Before(model, images.select(forget.mask(images)))
    start = time.perf_counter(), time.process_time()
    examples = example_dataset(model, images, config, method.seed, is_forget=forget.mask(images))
    dataset = method.prepare(model, examples)
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    run = run_trainer(model, dataset, config, method.seed, output_dir, callbacks, progress, method=method)
    record_training(run.model, None)  # the original's, which is not how this model came to be
    change = before.change(run.model)
    return dataclasses.replace(run, seconds=run.seconds + wall, cpu_seconds=run.cpu_seconds + cpu, change=change)


class _Before:
    """The original's weights and what it says of the forget set, to measure how much both change."""

    def __init__(self, model: nn.Module, forgotten: Images):
        self._forgotten = forgotten
        self._weights = [parameter.detach().clone() for parameter in model.parameters()]
        self._said = self._softmax(model)

    def change(self, model: nn.Module) -> Change:
        moved = sum(
            float((now.detach().cpu().double() - before.cpu().double()).square().sum())
            for now, before in zip(model.parameters(), self._weights, strict=True)
        )
        size = sum(float(before.cpu().double().square().sum()) for before in self._weights)
        variation = (self._softmax(model) - self._said).abs().sum(dim=1).mean() / 2
        return Change(weights=(moved / size) ** 0.5, predictions=float(variation))

    def _softmax(self, model: nn.Module) -> Tensor:
        return torch.from_numpy(predict(model, self._forgotten, embeddings=False).logits).double().softmax(dim=1)
