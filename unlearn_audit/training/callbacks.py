"""Callbacks of this package's own training, and what it asks of an unlearning method."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import ModelError
from unlearn_audit.models.prediction import evaluation_mode


class UnlearningMethod(TrainerCallback):
    """What `unlearn` asks of a method: to prepare from the original model, then to be a callback of a Trainer.

    Attributes:
        training_defaults: the paper's training settings for the method: fields of `TrainingConfig`.
        seed: of the run.
    """

    training_defaults: ClassVar[Mapping[str, Any]]
    seed: int

    def prepare(self, model: nn.Module, examples: ExampleDataset) -> ExampleDataset:
        """Learn what the method needs of the original model, and return the examples to train on."""
        raise NotImplementedError(f"{type(self).__name__} must define prepare(model, examples).")


class FiniteWeights(TrainerCallback):
    """Ends a training whose weights are not finite any more: Trainer itself goes on, and logs a loss of 0."""

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Look at all weights, before an epoch's checkpoint is written."""
        check_finite(model, args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Look once more, where training ended within an epoch."""
        check_finite(model, args, state)


def check_finite(model: nn.Module, args: Any, state: Any) -> None:
    """Raise `ModelError` where a parameter or a buffer is not finite; `args` and `state` are a Trainer's."""
    for name, values in (*model.named_parameters(), *model.named_buffers()):
        if values.is_floating_point() and not torch.isfinite(values).all():
            clipped = f"max_grad_norm is {args.max_grad_norm:g}" if args.max_grad_norm else "gradients are not clipped"
            raise ModelError(
                f"Expected finite weights, got NaN or infinity in {name!r} after {state.global_step} steps. Lower the "
                f"learning rate ({args.learning_rate:g}), or clip gradients ({clipped})."
            )


class EpochDraws(TrainerCallback):
    """Tells an `ExampleDataset` the epoch, so that each has its own augmentations."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any) -> None:
        """Pass the epoch on."""
        train_dataloader.dataset.set_epoch(int(state.epoch or 0))


class CostMeter(TrainerCallback, ExportableState):
    """Measures wall and CPU seconds and examples of a training, over all its interrupted parts."""

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0, examples: int = 0):
        self.seconds = seconds
        self.cpu_seconds = cpu_seconds
        self.examples = examples
        self._since = _clocks()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on from what the checkpoint says."""
        saved = state.stateful_callbacks.get(type(self).__name__)
        if state.global_step and saved:
            for name, value in saved["attributes"].items():
                setattr(self, name, value)
        self._since = _clocks()

    def on_step_end(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any) -> None:
        """Count a step."""
        self._count()
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.examples = train_dataloader.dataset.seen(state.global_step, batch, state.epoch or 0.0)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count what came after the last step."""
        self._count()

    def _count(self) -> None:
        now = _clocks()
        self.seconds += now[0] - self._since[0]
        self.cpu_seconds += now[1] - self._since[1]
        self._since = now

    def state(self) -> dict[str, dict[str, Any]]:
        """Return what is measured so far, for Trainer's checkpoints."""
        names = ("seconds", "cpu_seconds", "examples")
        return {"args": {}, "attributes": {name: getattr(self, name) for name in names}}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


class StopAtAccuracy(TrainerCallback):
    """Ends training after the first epoch with at least the target accuracy on the training examples."""

    def __init__(self, target: float):
        self.target = target

    def on_epoch_end(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        train_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Measure the accuracy, in evaluation mode and without augmentation."""
        if _accuracy(model, train_dataloader.dataset) >= self.target:
            control.should_training_stop = True


@torch.no_grad()
def _accuracy(model: nn.Module, dataset: ExampleDataset) -> float:
    plain, correct = dataset.without_augmentation(), 0
    with evaluation_mode(model):
        for rows in plain.rows.split(1024):
            batch = plain.batch(rows)
            logits = model(pixel_values=batch["pixel_values"]).logits
            correct += int((logits.argmax(dim=1) == batch["labels"]).sum())
    return correct / len(plain.rows)
