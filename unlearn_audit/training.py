"""Training and unlearning on a stock `transformers.Trainer`: `fit()` and `unlearn()`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from unlearn_audit.data.batches import Augmentation, ExampleDataset, collate
from unlearn_audit.data.images import Images
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.processes import process_state
from unlearn_audit.training_callbacks import CostMeter, EpochDraws, StopAtAccuracy

if TYPE_CHECKING:
    from unlearn_audit.data.forget import ForgetSet
    from unlearn_audit.methods.base import UnlearningCallback

OPTIMIZERS = ("sgd", "adamw")
SCHEDULERS = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How to train; the defaults are the paper's for original and retrained models, but for the number of epochs.

    Attributes:
        epochs: passes over the examples.
        learning_rate: the largest, after warm-up.
        batch_size: examples an optimizer step, over all processes and accumulation steps together. Where the examples
            of an epoch do not fill the last batch of every process, Accelerate repeats examples to fill it.
        accumulation_steps: forward passes a process makes for one optimizer step.
        optimizer: "sgd" or "adamw".
        momentum: of SGD.
        nesterov: Nesterov's momentum, for SGD.
        weight_decay: as Trainer applies it: of all weights but biases and LayerNorms; those of BatchNorm decay.
        scheduler: "cosine" to 0, "linear" to 0, or "constant".
        warmup: share of all steps over which the learning rate rises from 0.
        max_grad_norm: gradients are clipped to this norm; 0 does not clip.
        augment: random crop with padding and flip (no flip for digits).
        precision: "float32", "bfloat16" (autocast), or "auto": bfloat16 where the device computes it faster.
        target_accuracy: stop after the first epoch with at least this accuracy on the training examples.
        checkpoints: how many to make on the way, at equal distances; 0 makes none.
        compile: use `torch.compile`.
    """

    epochs: float = 30
    learning_rate: float = 0.1
    batch_size: int = 256
    accumulation_steps: int = 1
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    scheduler: str = "cosine"
    warmup: float = 0.0
    max_grad_norm: float = 0.0
    augment: bool = True
    precision: str = "auto"
    target_accuracy: float | None = None
    checkpoints: int = 10
    compile: bool = False

    def __post_init__(self) -> None:
        checks = {
            "epochs": (self.epochs > 0, "positive"),
            "learning_rate": (self.learning_rate >= 0, "at least 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "accumulation_steps": (self.accumulation_steps >= 1, "at least 1"),
            "optimizer": (self.optimizer in OPTIMIZERS, f"one of {OPTIMIZERS}"),
            "scheduler": (self.scheduler in SCHEDULERS, f"one of {SCHEDULERS}"),
            "warmup": (0 <= self.warmup < 1, "a share of all steps in [0, 1)"),
            "precision": (self.precision in PRECISIONS, f"one of {PRECISIONS}"),
            "checkpoints": (self.checkpoints >= 0, "at least 0"),
        }
        for name, (holds, expected) in checks.items():
            if not holds:
                raise ConfigurationError(f"Expected {name} to be {expected}, got {getattr(self, name)!r}.")

    def arguments(self, output_dir: Path, seed: int, *, progress: bool = True) -> TrainingArguments:
        """Return the `TrainingArguments` that say the same."""
        processes = process_state().num_processes
        share, rest = divmod(self.batch_size, processes * self.accumulation_steps)
        if rest:
            raise ConfigurationError(
                f"Expected a batch_size that {processes} processes with {self.accumulation_steps} accumulation steps "
                f"share equally, got {self.batch_size}."
            )
        sgd = self.optimizer == "sgd"
        bfloat16 = self.precision == "bfloat16" or (self.precision == "auto" and bfloat16_is_faster())
        return TrainingArguments(
            output_dir=str(output_dir),
            num_train_epochs=self.epochs,
            learning_rate=self.learning_rate,
            per_device_train_batch_size=share,
            gradient_accumulation_steps=self.accumulation_steps,
            optim="sgd" if sgd else "adamw_torch",
            optim_args=f"momentum={self.momentum},nesterov={self.nesterov}" if sgd else None,
            weight_decay=self.weight_decay,
            lr_scheduler_type=_scheduler(self),
            warmup_steps=self.warmup,
            max_grad_norm=self.max_grad_norm,
            use_cpu=not torch.accelerator.is_available(),
            bf16=bfloat16,
            seed=seed,
            data_seed=seed,
            save_strategy="steps" if self.checkpoints else "no",
            save_steps=1 / (self.checkpoints + 1) if self.checkpoints else 500,
            save_total_limit=1,
            logging_strategy="epoch",
            report_to="none",
            disable_tqdm=not progress,
            dataloader_pin_memory=False,  # batches are made where they are used
            remove_unused_columns=False,
            torch_compile=self.compile,
        )


def _scheduler(config: TrainingConfig) -> str:
    if config.scheduler == "constant" and config.warmup:
        return "constant_with_warmup"
    return config.scheduler


def bfloat16_is_faster() -> bool:
    """Tell whether the device has instructions for bfloat16: CUDA from Ampere on, AMX or AVX512-BF16 on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


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
    """

    model: nn.Module
    seconds: float
    cpu_seconds: float
    examples: int
    steps: int
    log: tuple[dict[str, float], ...] = field(default=(), repr=False)


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

    A run that was interrupted goes on from the last checkpoint in `output_dir`, with the same result.

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
    dataset = _dataset(model, images, config, seed, rows=rows)
    return _run(model, dataset, config, seed, output_dir, [EpochDraws(), *callbacks], progress)


def training_examples(
    model: nn.Module, images: Images, forget: ForgetSet, *, augment: bool = True, seed: int = 0
) -> ExampleDataset:
    """Return all training examples with `is_forget`, as `model` takes them: what a method chooses from."""
    config = TrainingConfig(augment=augment)
    return _dataset(model, images, config, seed, is_forget=forget.mask(images))


def unlearn(
    model: nn.Module,
    images: Images,
    forget: ForgetSet,
    method: UnlearningCallback,
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
        output_dir: for checkpoints, from which an interrupted run goes on; None makes none.
        progress: show a progress bar.
        callbacks: more callbacks for the Trainer.
    """
    config = config or TrainingConfig(**method.training_defaults)
    start = time.perf_counter(), time.process_time()
    split = _dataset(model, images, config, method.seed, is_forget=forget.mask(images))
    dataset = method.examples(model, split)
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    run = _run(model, dataset, config, method.seed, output_dir, [method, *callbacks], progress)
    return dataclasses.replace(run, seconds=run.seconds + wall, cpu_seconds=run.cpu_seconds + cpu)


def _dataset(model: nn.Module, images: Images, config: TrainingConfig, seed: int, **selection: Any) -> ExampleDataset:
    return ExampleDataset(
        images,
        Preprocessing.of(model),
        augmentation=Augmentation.usual(images) if config.augment else None,
        seed=seed,
        device=process_state().device,
        **selection,
    )


def _run(
    model: nn.Module,
    dataset: ExampleDataset,
    config: TrainingConfig,
    seed: int,
    output_dir: str | Path | None,
    callbacks: Sequence[TrainerCallback],
    progress: bool,
) -> TrainingRun:
    if output_dir is None:
        config = dataclasses.replace(config, checkpoints=0)
        with tempfile.TemporaryDirectory() as folder:
            return _run(model, dataset, config, seed, folder, callbacks, progress)
    meter = CostMeter()
    callbacks = [*callbacks, meter]
    if config.target_accuracy is not None:
        callbacks.append(StopAtAccuracy(config.target_accuracy))
    model.to(memory_format=torch.channels_last)
    with own_accelerator_state():
        trainer = Trainer(
            model=model,
            args=config.arguments(Path(output_dir), seed, progress=progress),
            train_dataset=dataset,
            data_collator=collate,
            callbacks=callbacks,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=last_checkpoint(output_dir))
    model.eval()
    log = tuple(entry for entry in trainer.state.log_history if "loss" in entry)
    return TrainingRun(model, meter.seconds, meter.cpu_seconds, meter.examples, trainer.state.global_step, log)


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


def last_checkpoint(output_dir: str | Path) -> str | None:
    """Return the newest whole checkpoint in `output_dir`, or None. Trainer writes `trainer_state.json` last."""
    found = []
    for folder in Path(output_dir).glob("checkpoint-*"):
        state = folder / "trainer_state.json"
        if state.is_file() and _is_json(state):
            found.append((int(folder.name.split("-")[-1]), folder))
    return str(max(found)[1]) if found else None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True
