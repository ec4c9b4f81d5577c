"""How to train: a `TrainingConfig`, which becomes a stock `TrainingArguments`."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import process_state

OPTIMIZERS = ("sgd", "adamw")
SCHEDULERS = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
FLIPS = ("random", "alternating")
MOST_EPOCHS, LARGEST_BATCH, MOST_CHECKPOINTS = 1_000_000, 10_000_000, 10_000  # more is a slip of the pen


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How to train; the defaults are the paper's for original and retrained models, but for the number of epochs.

    Attributes:
        epochs: passes over the examples; 0 for methods that only edit weights.
        learning_rate: the largest, after warm-up.
        batch_size: examples an optimizer step, over all processes and accumulation steps together. Where the examples
            of an epoch do not fill the last batch of every process, Accelerate repeats examples to fill it.
        accumulation_steps: forward passes a process makes for one optimizer step.
        optimizer: "sgd" or "adamw".
        momentum: of SGD.
        nesterov: Nesterov's momentum, for SGD.
        weight_decay: as Trainer applies it: of all weights but biases and LayerNorms; those of BatchNorm decay.
        batchnorm_bias_rate: learning rate of BatchNorm's biases, as a multiple of `learning_rate`.
        scheduler: "cosine" to 0, "linear" to 0, or "constant".
        warmup: share of all steps over which the learning rate rises from 0.
        max_grad_norm: gradients are clipped to this norm; 0 does not clip.
        augment: random crop with padding, and a flip where `Images.flips`.
        flip: "random" draws in each epoch whether an image is flipped; "alternating" draws once, and from then on flips
            an image in every other epoch, so that two epochs show both sides of all (Jordan 2024, arXiv 2404.00498).
        label_smoothing: share of a label's weight that is spread over all classes, for `fit`; unlearning methods have
            losses of their own, and refuse it.
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
    batchnorm_bias_rate: float = field(default=1.0, metadata={"added": True})
    scheduler: str = "cosine"
    warmup: float = 0.0
    max_grad_norm: float = 0.0
    augment: bool = True
    flip: str = field(default="random", metadata={"added": True})
    label_smoothing: float = field(default=0.0, metadata={"added": True})
    precision: str = "auto"
    target_accuracy: float | None = None
    checkpoints: int = field(default=10, metadata={"incidental": True})  # changes no result
    compile: bool = False

    def __post_init__(self) -> None:
        accuracy = self.target_accuracy
        checks = {
            "epochs": (0 <= self.epochs <= MOST_EPOCHS, f"a number of at least 0 and at most {MOST_EPOCHS:,}"),
            "learning_rate": (0 <= self.learning_rate < math.inf, "a finite number of at least 0"),
            "batch_size": (1 <= self.batch_size <= LARGEST_BATCH, f"at least 1 and at most {LARGEST_BATCH:,}"),
            "accumulation_steps": (1 <= self.accumulation_steps <= LARGEST_BATCH, "at least 1, and no more than fit"),
            "momentum": (0 <= self.momentum < 1, "a share in [0, 1)"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a finite number of at least 0"),
            "batchnorm_bias_rate": (0 <= self.batchnorm_bias_rate < math.inf, "a finite number of at least 0"),
            "max_grad_norm": (0 <= self.max_grad_norm < math.inf, "a finite number of at least 0"),
            "target_accuracy": (accuracy is None or 0 < accuracy <= 1, "a share in (0, 1]"),
            "optimizer": (self.optimizer in OPTIMIZERS, f"one of {OPTIMIZERS}"),
            "scheduler": (self.scheduler in SCHEDULERS, f"one of {SCHEDULERS}"),
            "warmup": (0 <= self.warmup < 1, "a share of all steps in [0, 1)"),
            "flip": (self.flip in FLIPS, f"one of {FLIPS}"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "a share in [0, 1)"),
            "precision": (self.precision in PRECISIONS, f"one of {PRECISIONS}"),
            "checkpoints": (0 <= self.checkpoints <= MOST_CHECKPOINTS, f"at least 0 and at most {MOST_CHECKPOINTS:,}"),
        }
        for name, (holds, expected) in checks.items():
            if not holds:
                raise ConfigurationError(f"Expected {name} to be {expected}, got {getattr(self, name)!r}.")

    @property
    def uses_bfloat16(self) -> bool:
        """Whether this machine computes in bfloat16, which `precision` may leave to it."""
        return self.precision == "bfloat16" or (self.precision == "auto" and bfloat16_is_faster())

    def decisive(self) -> dict[str, Any]:
        """Return the fields but for those that change no result."""
        kept = (each.name for each in dataclasses.fields(self) if not each.metadata.get("incidental"))
        return {name: getattr(self, name) for name in kept}

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
            bf16=self.uses_bfloat16,
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
            label_smoothing_factor=self.label_smoothing,
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
