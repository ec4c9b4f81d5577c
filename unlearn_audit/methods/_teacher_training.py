"""How the authors of Local Teacher Distillation train their teacher, where a `TrainingConfig` cannot say it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class StepDown(TrainerCallback):
    """Multiplies a constant learning rate by `factor` from an epoch on."""

    def __init__(self, epoch: int, factor: float):
        self.epoch, self.factor = epoch, factor

    def on_epoch_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **kwargs: Any
    ) -> None:
        """Set the rate of the epoch, for this step and for those that the schedule sets."""
        rate = args.learning_rate * (self.factor if (state.epoch or 0) >= self.epoch else 1.0)
        lr_scheduler.base_lrs = [rate] * len(lr_scheduler.base_lrs)
        for group in optimizer.param_groups:
            group["lr"] = rate


class StopAtRunningAccuracy(TrainerCallback, ExportableState):
    """Ends training after the first epoch whose own forward passes were right often enough.

    These see augmented batches, in training mode, while the weights move; counts are summed over processes and kept in
    checkpoints.
    """

    def __init__(self, target: float, correct: int = 0, seen: int = 0):
        self.target, self.correct, self.seen = target, correct, seen
        self._handle: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Watch the forward passes, going on from the counts of a checkpoint."""
        saved = state.stateful_callbacks.get(type(self).__name__)
        if state.global_step and saved:
            self.correct, self.seen = saved["attributes"]["correct"], saved["attributes"]["seen"]
        self._handle = model.register_forward_hook(self._count, with_kwargs=True)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compare with the target, and begin to count anew."""
        counts = torch.tensor([self.correct, self.seen], device=args.device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
        correct, seen = counts.tolist()
        if seen and correct >= self.target * seen:
            control.should_training_stop = True
        self.correct = self.seen = 0

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Watch no more."""
        self._handle.remove()

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the counts of the present epoch, for Trainer's checkpoints."""
        return {"args": {"target": self.target}, "attributes": {"correct": self.correct, "seen": self.seen}}

    @torch.no_grad()
    def _count(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Tensor], output: Any) -> None:
        if model.training and "labels" in kwargs:
            self.correct += int((output.logits.argmax(dim=1) == kwargs["labels"]).sum())
            self.seen += len(output.logits)
