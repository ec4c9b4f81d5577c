"""One run of a stock `Trainer`, resumable, with its cost: what `fit` and `unlearn` share."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import extract_model_from_parallel
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PrinterCallback, Trainer, TrainerCallback

from unlearn_audit.data.batches import Augmentation, ExampleDataset, collate
from unlearn_audit.data.images import Images
from unlearn_audit.errors import ModelError
from unlearn_audit.models.labels import check_order
from unlearn_audit.models.preprocessing import Preprocessing, image_processor
from unlearn_audit.processes import new_garbage_alone, process_state
from unlearn_audit.training.callbacks import CostMeter, StopAtAccuracy, UnlearningMethod
from unlearn_audit.training.checkpoints import CheckpointHashes, last_checkpoint, run_folder, training_inputs
from unlearn_audit.training.config import TrainingConfig


@dataclass(frozen=True)
class Change:
    """How much unlearning changed the original: a method whose settings are too weak leaves it as it was.

    Attributes:
        weights: ‖θ − θ₀‖ / ‖θ₀‖ over all parameters.
        predictions: mean total variation, in [0, 1], between the softmax before and after on the forget set, in
            evaluation mode and without augmentation.
    """

    weights: float
    predictions: float

    def __str__(self) -> str:
        return (
            f"weights changed by {self.weights:.2%}, forget predictions by a total variation of {self.predictions:.3f}"
        )


@dataclass(frozen=True)
class TrainingRun:
    """A trained model and what it took.

    Attributes:
        model: the model, in evaluation mode.
        seconds: wall time, over all interrupted parts, with what a method prepares.
        cpu_seconds: CPU time of this process for the same: what is left to compare on a machine that others use too.
        examples: how many examples went through forward and backward passes, over all epochs.
        steps: optimizer steps.
        log: what Trainer logged, once an epoch.
        change: how much unlearning changed the original; None for other trainings.
        checkpoints: the folder with this run's own checkpoints; None without an `output_dir`.
    """

    model: nn.Module
    seconds: float
    cpu_seconds: float
    examples: int
    steps: int
    log: tuple[dict[str, float], ...] = field(default=(), repr=False)
    change: Change | None = None
    checkpoints: Path | None = None


def example_dataset(
    model: nn.Module, images: Images, config: TrainingConfig, seed: int, **selection: Any
) -> ExampleDataset:
    """Return the training examples as `model` takes them, those that `selection` names."""
    check_order(model, images)
    return ExampleDataset(
        images,
        Preprocessing.of(model),
        augmentation=Augmentation.usual(images, alternating=config.flip == "alternating") if config.augment else None,
        seed=seed,
        device=process_state().device,
        **selection,
    )


def run_trainer(
    model: nn.Module,
    dataset: ExampleDataset,
    config: TrainingConfig,
    seed: int,
    output_dir: str | Path | None,
    callbacks: Sequence[TrainerCallback],
    progress: bool,
    *,
    method: UnlearningMethod | None = None,
) -> TrainingRun:
    """Train, going on from the last whole checkpoint that a run with the same inputs left in `output_dir`.

    Without an `output_dir` no checkpoints are kept. The `method`, if there is one, is the first of the callbacks.
    """
    callbacks = callbacks if method is None else [method, *callbacks]
    with garbage_of(process_state().device):
        if output_dir is None:
            config = dataclasses.replace(config, checkpoints=0)
            with tempfile.TemporaryDirectory() as temporary:
                return _train(model, dataset, config, seed, Path(temporary), callbacks, progress)
        folder = run_folder(output_dir, training_inputs(model, dataset, config, seed, method))
        run = _train(model, dataset, config, seed, folder, callbacks, progress)
        return dataclasses.replace(run, checkpoints=folder)


def garbage_of(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return what spares a training on a CPU to go through all objects of the process, as Trainer does at its start.

    On an accelerator, where dead objects may hold its memory, they are looked for.
    """
    return new_garbage_alone() if device.type == "cpu" else contextlib.nullcontext()


def _train(
    model: nn.Module,
    dataset: ExampleDataset,
    config: TrainingConfig,
    seed: int,
    folder: Path,
    callbacks: Sequence[TrainerCallback],
    progress: bool,
) -> TrainingRun:
    meter = CostMeter()
    callbacks = [*callbacks, meter, CheckpointHashes()]
    if config.target_accuracy is not None:
        callbacks.append(StopAtAccuracy(config.target_accuracy))
    model.to(memory_format=torch.channels_last)
    with own_accelerator_state():
        trainer = Trainer(
            model=model,
            args=config.arguments(folder, seed, progress=progress),
            train_dataset=dataset,
            data_collator=collate,
            processing_class=image_processor(model),
            callbacks=callbacks,
        )
        trainer.remove_callback(PrinterCallback)
        if config.batchnorm_bias_rate != 1:
            _apart_biases(trainer, model, config.batchnorm_bias_rate)
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    extract_model_from_parallel(model, keep_fp32_wrapper=False)  # else it would compute in bfloat16 ever after
    model.eval()
    log = tuple(entry for entry in trainer.state.log_history if "loss" in entry)
    return TrainingRun(model, meter.seconds, meter.cpu_seconds, meter.examples, trainer.state.global_step, log)


def _apart_biases(trainer: Trainer, model: nn.Module, rate: float) -> None:
    """Let the stock optimizer train BatchNorm's biases at a multiple `rate` of the learning rate of all others."""
    biases = {id(each.bias): each.bias for each in model.modules() if isinstance(each, _BatchNorm)}
    trained = {key: bias for key, bias in biases.items() if bias is not None and bias.requires_grad}
    if not trained:
        raise ModelError(
            f"Expected a model with biases of BatchNorm to train, for batchnorm_bias_rate={rate:g}, got one without. "
            "Leave batchnorm_bias_rate out."
        )
    optimizer = trainer.create_optimizer()
    for group in optimizer.param_groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in trained]
    learning_rate = rate * trainer.args.learning_rate
    optimizer.add_param_group({"params": list(trained.values()), "lr": learning_rate, "weight_decay": 0.0})


@contextlib.contextmanager
def own_accelerator_state() -> Iterator[None]:
    """Let a Trainer inside the block have its own precision, and give the state back to whoever had one before.

    Accelerate keeps one state a process: without this, a local teacher trained in bfloat16 would refuse the float32
    Trainer that a user builds next.
    """
    before = AcceleratorState._shared_state.copy()
    AcceleratorState._reset_state()
    try:
        yield
    finally:
        AcceleratorState._reset_state()
        AcceleratorState._shared_state.update(before)
