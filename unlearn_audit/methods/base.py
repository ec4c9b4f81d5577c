"""What all unlearning methods share: a callback on a stock `transformers.Trainer`.

    examples = training_examples(original, data.train, forget)
    method = RandomLabels(retain_share=1.0)
    trainer = Trainer(
        model=original,
        args=TrainingArguments(...),
        train_dataset=method.prepare(original, examples),
        data_collator=collate,  # optional: faster
        callbacks=[method],
    )
    trainer.train()  # `original` is now the unlearned model

A method is a dataclass: its fields are its hyperparameters. It overrides as few as it can of `rows` (which examples it
trains on), `steps` (where its steps differ), `learn` (what it needs of the original model), `edit` (what it does to the
weights without training), `inputs` (other pixels or labels), `change_gradients` and `per_example_loss`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers.trainer_callback import ExportableState

from unlearn_audit.data.batches import ExampleDataset, as_given, forget_first
from unlearn_audit.data.randomness import draw_rows
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods._steps import PlannedExamples, Step
from unlearn_audit.methods.hooks import LossHook
from unlearn_audit.methods.saliency import WeightMask, saliency_mask
from unlearn_audit.training.callbacks import UnlearningMethod, check_finite

ORDERS = {"joint": as_given, "forget_first": forget_first}


@dataclass(eq=False, kw_only=True)
class UnlearningCallback(UnlearningMethod, ExportableState):
    """An unlearning method as a `TrainerCallback`.

    Attributes:
        retain_share: share of the retain set that is trained on together with the forget set, in [0, 1].
        order: "joint" shuffles forget and retain examples together; "forget_first" goes, in each epoch, through the
            forget set and then through the retain examples.
        freeze_batchnorm: keep the running statistics of BatchNorm as the original model has them, and use them.
        saliency_share: move only this share of the weights, those with the largest absolute gradient of the forget
            loss (SalUn, Fan et al. 2024, arXiv 2310.12508); all others stay bit for bit. None moves all.
        seed: of every random choice of the method.
    """

    retain_share: float = 0.0
    order: str = "joint"
    freeze_batchnorm: bool = False
    saliency_share: float | None = None
    seed: int = 0

    # The paper's training settings for this method: fields of TrainingConfig.
    training_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "epochs": 10,
            "optimizer": "sgd",
            "learning_rate": 1e-4,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 1e-6,
            "batch_size": 256,
            "scheduler": "constant",
        }
    )

    def __post_init__(self) -> None:
        _check(0 <= self.retain_share <= 1, self, "retain_share", "a share in [0, 1]")
        _check(self.order in ORDERS, self, "order", f"one of {tuple(ORDERS)}")
        _check(self.saliency_share is None or 0 < self.saliency_share <= 1, self, "saliency_share", "a share in (0, 1]")
        self.epoch = 0
        self._mask: WeightMask | None = None
        self._before: dict[str, Tensor] = {}
        self._first_step = 0
        self._planned: PlannedExamples | None = None

    # What a method overrides

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Map logits (n, c) in float32 and the batch to the loss of each example, (n,)."""
        raise NotImplementedError(f"{type(self).__name__} must define per_example_loss(logits, batch).")

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the batch that the model and the loss see in training; by default as it is."""
        return batch

    def rows(self, examples: ExampleDataset) -> Tensor:
        """Return which rows (m,) of the images to train on: the forget set, and `retain_share` of the retain set."""
        retain = draw_rows(examples.retain_rows, self.retain_share, seed=self.seed)
        return torch.cat([examples.forget_rows, retain])

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step]:
        """Yield the optimizer steps of an epoch, `size` examples each at most, where the method's steps differ.

        By default a method has none of its own: Trainer shuffles `rows`, or goes through them in the method's `order`.
        """
        raise NotImplementedError

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Learn what the method needs of the original model, before training; nothing by default."""

    def edit(self, model: nn.Module) -> None:
        """Change weights of the original in place before the first step, without gradients; nothing by default.

        Every process must make the same change; those of process 0 are sent to the others afterwards.
        """

    def change_gradients(self, model: nn.Module, epochs: float) -> None:
        """Change the gradients of a step, accumulated, reduced and clipped, of a run of so many epochs; by default not.

        A penalty belongs here rather than into the loss, where it would be scaled by accumulation, counted once a
        process, clipped and logged.
        """

    # Set-up

    def prepare(self, model: nn.Module, examples: ExampleDataset) -> ExampleDataset:
        """Learn what the method needs of the original model, and return the `train_dataset` for a `Trainer`.

        This takes as long as the method says: a weight mask is one pass over the forget set, a local teacher a
        training of its own.

        Args:
            model: the original model, with its weights as they are before unlearning; when a run is resumed, too.
            examples: all training examples with `is_forget`, from `training_examples`.
        """
        if examples.is_forget is None or not len(examples.forget_rows):
            raise MethodError(
                "Expected examples that say which are to be forgotten; build them with training_examples."
            )
        if self.saliency_share is not None:
            self._mask = WeightMask(saliency_mask(model, examples, self.saliency_share))
        self.learn(model, examples)
        if self._has_steps:
            self._planned = PlannedExamples.of(examples)
            return self._planned
        return examples.subset(self.rows(examples), order=ORDERS[self.order])

    def before_forward(self, model: nn.Module) -> None:
        """Freeze BatchNorm where asked: Trainer switches the whole model to training mode before each step."""
        if self.freeze_batchnorm:
            for module in model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    # Events of the Trainer

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Keep `is_forget` and `index` in the batches, and the order of the method."""
        args.remove_unused_columns = False
        if self.order == "forget_first" or self._has_steps:
            args.train_sampling_strategy = "sequential"
        if self._planned is not None:
            self._plan(self._planned, args)
        LossHook.on(model)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take over the loss."""
        self._check_arguments(args)
        LossHook.on(model).claim(self)
        self._first_step = state.global_step
        self._before = {name: p.detach().clone() for name, p in model.named_parameters()}
        if not state.global_step:
            self._edit(model)
        if self._mask is not None:
            self._mask.attach(model)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any) -> None:
        """Let this epoch have its own augmentations and draws."""
        self.epoch = int(state.epoch or 0)
        set_epoch = getattr(train_dataloader.dataset, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self.epoch)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Let the method change the gradients, and remember the weights that the mask freezes."""
        self.change_gradients(model, args.num_train_epochs)
        if self._mask is not None:
            self._mask.before_step()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Undo what weight decay or momentum did to the weights that the mask freezes."""
        if self._mask is not None:
            self._mask.after_step()

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Stop where a step was too large: what follows could only be worse."""
        check_finite(model, args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Give the loss back, and make sure that something happened, and nothing absurd."""
        LossHook.on(model).owner = None
        check_finite(model, args, state)
        if self._mask is not None:
            self._mask.detach()
        before, self._before = self._before, {}
        moved = any(not torch.equal(p.detach(), before[name]) for name, p in model.named_parameters())
        steps = state.global_step - self._first_step
        if (steps or not state.global_step) and not moved:
            raise MethodError(
                f"{type(self).__name__} took {steps} steps and moved no parameter. Expected a change: look at the "
                f"learning rate ({args.learning_rate}), the method's own options, requires_grad and the loss."
            )

    @torch.no_grad()
    def _edit(self, model: nn.Module) -> None:
        self.edit(model)
        if torch.distributed.is_initialized():
            for parameter in model.parameters():
                torch.distributed.broadcast(parameter, src=0)

    @property
    def _has_steps(self) -> bool:
        return type(self).steps is not UnlearningCallback.steps

    def _plan(self, planned: PlannedExamples, args: Any) -> None:
        epochs = int(args.num_train_epochs)
        if epochs != args.num_train_epochs or epochs < 1 or args.max_steps > 0:
            raise ConfigurationError(
                f"{type(self).__name__} plans whole epochs: expected num_train_epochs of 1, 2, … and no max_steps, got "
                f"{args.num_train_epochs:g} and {args.max_steps}."
            )
        planned.plan(
            self.steps,
            epochs=epochs,
            micro_batch=args.per_device_train_batch_size,
            micro_batches=args.world_size * args.gradient_accumulation_steps,
        )

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the hyperparameters, for Trainer's checkpoints."""
        return {"args": {f.name: getattr(self, f.name) for f in fields(self)}, "attributes": {}}

    def _check_arguments(self, args: Any) -> None:
        if args.remove_unused_columns:
            raise MethodError(
                "Expected remove_unused_columns=False, or Trainer drops `is_forget` from the batches. Pass the method "
                "to Trainer(callbacks=[method]), which sets it; add_callback comes too late for that."
            )
        if self.saliency_share is not None and self._mask is None:
            raise MethodError(
                "Expected train_dataset=method.prepare(model, examples), which finds the salient weights."
            )


def _check(holds: bool, method: UnlearningCallback, name: str, expected: str) -> None:
    if not holds:
        raise ConfigurationError(
            f"{type(method).__name__}: expected {name} to be {expected}, got {getattr(method, name)!r}."
        )


def is_forget(batch: dict[str, Tensor]) -> Tensor:
    """Return the bool column (n,) that tells forget examples; a batch without it raises `MethodError`."""
    if "is_forget" not in batch:
        raise MethodError(
            f"Expected a column `is_forget` in the batches, got {sorted(batch)}. "
            "Use train_dataset=method.prepare(model, examples)."
        )
    return batch["is_forget"].bool()
