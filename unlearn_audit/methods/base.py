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
trains on), `steps` (in which steps), `learn` (what it needs of the original model), `trainable` (which weights move),
`edit` and `finish` (what it does to the weights before and after training), `inputs` (other pixels or labels),
`change_gradients`, `phase_rates` and `per_example_loss`. In `scope` it says what it sees and is made for.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import chain
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers.trainer_callback import ExportableState

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw_rows
from unlearn_audit.data.steps import Plan, PlannedDataset, Step, shuffled
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods._hindrances import warn_after, warn_before
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods._settings import Settings, sgd, space
from unlearn_audit.methods.hooks import LossHook
from unlearn_audit.methods.saliency import WeightMask, saliency_mask
from unlearn_audit.models.prediction import evaluation_mode
from unlearn_audit.training.callbacks import UnlearningMethod, check_finite

ORDERS = ("joint", "forget_first")


@dataclass(eq=False, kw_only=True)
class UnlearningCallback(UnlearningMethod, ExportableState):
    """An unlearning method as a `TrainerCallback`.

    Attributes:
        retain_share: share of the retain set that is trained on together with the forget set, in [0, 1].
        order: "joint" shuffles forget and retain examples together; "forget_first" goes, in each epoch, through the
            forget set and then through the retain examples, no step with both.
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
    training_defaults: ClassVar[Settings] = sgd(epochs=10, learning_rate=1e-4, weight_decay=1e-6)

    # What to try where its training is searched, as `search: default` in a study: fields of SearchConfig.
    search_space: ClassVar[Settings] = space(rates=(1e-5, 1e-2), epochs=(1, 3, 10))

    # What it sees, which forget sets it is made for, and its cost; None where a method does not say.
    scope: ClassVar[Scope | None] = None

    # Whether it maximises a loss; clipping to a small norm, which is Trainer's default, then undoes most of it.
    ascends: ClassVar[bool] = False

    # What the learning rate is multiplied by in the steps of a phase; 1 where it is not named.
    phase_rates: ClassVar[Mapping[str, float]] = MappingProxyType({})

    def __post_init__(self) -> None:
        _check(0 <= self.retain_share <= 1, self, "retain_share", "a share in [0, 1]")
        _check(self.order in ORDERS, self, "order", f"one of {ORDERS}")
        _check(self.saliency_share is None or 0 < self.saliency_share <= 1, self, "saliency_share", "a share in (0, 1]")
        _check(
            self.order == "joint" or not self._plans_steps(),
            self,
            "order",
            "'joint': it has an order of steps of its own",
        )
        self.epoch = 0
        self.step = Step("", ())
        self._planned: PlannedDataset | None = None
        self._in_a_pass: float | None = None
        self._rates: list[float] = []
        self._mask: WeightMask | None = None
        self._held: set[str] = set()
        self._student: weakref.ref[nn.Module] | None = None
        self._before: dict[str, Tensor] = {}
        self._first_step = 0

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

    def steps(self, examples: ExampleDataset, epoch: int, size: int) -> Iterator[Step] | None:
        """Return the optimizer steps of an epoch, or None (by default) where Trainer shuffles all `rows` together.

        In `per_example_loss` and `change_gradients`, `self.step` is the present one, and `self.epoch` its epoch.

        Args:
            examples: those that `rows` names.
            epoch: from 0; epochs may differ in length.
            size: how many examples fill a step: Trainer's batch, over all processes and accumulation steps.
        """
        if self.order == "joint":
            return None
        parts = {"forget": examples.forget_rows, "retain": examples.retain_rows}
        return chain(*(shuffled(name, rows, size, seed=self.seed, epoch=epoch) for name, rows in parts.items()))

    def learn(self, model: nn.Module, examples: ExampleDataset) -> None:
        """Learn what the method needs of the original model, before training; nothing by default."""

    def trainable(self, model: nn.Module) -> set[str] | None:
        """Return the names of the parameters that training may move, or None (by default) for all of them.

        All others are frozen until training ends, and so are the statistics of BatchNorm among them.
        """
        return None

    def edit(self, model: nn.Module) -> None:
        """Change weights of the original in place before the first step, without gradients; nothing by default.

        Every process must make the same change; those of process 0 are sent to the others afterwards.
        """

    def finish(self, model: nn.Module) -> None:
        """Change weights in place after the last step, without gradients, as `edit` does; nothing by default."""

    def change_gradients(self, model: nn.Module, epochs: float) -> None:
        """Change the gradients of a step, accumulated, reduced and clipped, of a run of so many epochs; by default not.

        A penalty belongs here rather than into the loss, where it would be scaled by accumulation, counted once a
        process, clipped and logged.
        """

    def student_logits(self, views: Tensor) -> Tensor:
        """Return the student's logits (n, c) on other views (n, 3, h, w), from inside the loss.

        In evaluation mode and without gradients: a held constant.
        """
        model = None if self._student is None else self._student()
        if model is None:
            raise MethodError("Expected a call from inside the loss, while a Trainer trains.")
        with torch.no_grad(), LossHook.on(model).paused(), evaluation_mode(model):
            logits: Tensor = model(pixel_values=views).logits.float()
        return logits

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
            self._mask = WeightMask(_of_process_0(saliency_mask(model, examples, self.saliency_share)))
        self.learn(model, examples)
        chosen = examples.subset(self.rows(examples))
        self._planned = None if self.steps(chosen, 0, 1) is None else PlannedDataset(chosen, self._steps_of(chosen))
        return chosen if self._planned is None else self._planned

    def before_forward(self, model: nn.Module) -> None:
        """Freeze BatchNorm where asked: Trainer switches the whole model to training mode before each step."""
        if self.freeze_batchnorm or self._held:
            for name, module in model.named_modules():
                if isinstance(module, _BatchNorm) and (self.freeze_batchnorm or f"{name}.weight" in self._held):
                    module.eval()

    def examples_a_pass(self, here: int) -> float:
        """Return how many examples a forward pass holds, on average over the step: its passes may differ.

        Sums over this number are exact means over the step, however it is split; over several processes, where the step
        is planned.
        """
        if self._planned is not None:
            return len(self.step.rows) / self._planned.parts
        return here if self._in_a_pass is None else self._in_a_pass

    # Events of the Trainer

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Keep `is_forget` and `index` in the batches, and the steps of the method."""
        args.remove_unused_columns = False
        if self._planned is not None:
            args.train_sampling_strategy = "sequential"
            parts = args.world_size * args.gradient_accumulation_steps
            limits = {"epochs": args.num_train_epochs, "max_steps": args.max_steps}
            self._planned.lay_out(micro_batch=args.train_batch_size, parts=parts, **limits)
        moving = self.trainable(model)
        if moving is not None:
            self._held = {name for name, p in model.named_parameters() if p.requires_grad and name not in moving}
            self._let_move(model, False)
        LossHook.on(model)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Take over the loss."""
        self._check_arguments(args, kwargs.get("train_dataloader"))
        steps, rates = state.max_steps, {"optimizer": kwargs.get("optimizer"), "scheduler": kwargs.get("lr_scheduler")}
        warn_before(self, args, model, steps=steps, **rates)
        LossHook.on(model).claim(self)
        self._student = weakref.ref(model)
        self._first_step = state.global_step
        self._before = {name: p.detach().clone() for name, p in model.named_parameters()}
        if not state.global_step:
            self._without_gradients(self.edit, model)
        if self._mask is not None:
            self._mask.attach(model)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any) -> None:
        """Let this epoch have its own augmentations and draws."""
        self.epoch = int(state.epoch or 0)
        set_epoch = getattr(train_dataloader.dataset, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(self.epoch)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the next step of the plan, or count the examples of Trainer's own where it takes several passes."""
        self._in_a_pass = None
        if self._planned is not None:
            self.step = self._planned.step(state.global_step)
            self.epoch = self.step.epoch
        elif args.world_size == 1 and args.gradient_accumulation_steps > 1:
            self._in_a_pass = _in_a_pass(args, state.global_step, len(kwargs["train_dataloader"].dataset))

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **kwargs: Any
    ) -> None:
        """Let the method change the gradients and the rate, and remember the weights that the mask freezes."""
        self.change_gradients(model, args.num_train_epochs)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] *= self.phase_rates.get(self.step.phase, 1.0)
        if self._mask is not None:
            self._mask.before_step()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        """Put the rate back, and undo what weight decay or momentum did to the weights that the mask freezes."""
        for group, rate in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate
        if self._mask is not None:
            self._mask.after_step()

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Stop where a step was too large: what follows could only be worse."""
        check_finite(model, args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Give the loss back, and make sure that something happened, and nothing absurd."""
        LossHook.on(model).owner = self._student = None
        self._let_move(model, True)
        self._held = set()
        self._without_gradients(self.finish, model)
        check_finite(model, args, state)
        if self._mask is not None:
            self._mask.detach()
        before, self._before = self._before, {}
        moved = any(not torch.equal(p.detach(), before[name]) for name, p in model.named_parameters())
        steps = state.global_step - self._first_step
        if steps:
            warn_after(self, args, model, before)
        if (steps or not state.global_step) and not moved:
            raise MethodError(
                f"{type(self).__name__} took {steps} steps and moved no parameter. Expected a change: look at the "
                f"learning rate ({args.learning_rate}), the method's own options, requires_grad and the loss."
            )

    def _let_move(self, model: nn.Module, moves: bool) -> None:
        for name in self._held:
            model.get_parameter(name).requires_grad_(moves)

    @torch.no_grad()
    def _without_gradients(self, change: Callable[[nn.Module], None], model: nn.Module) -> None:
        change(model)
        _of_process_0(dict(model.named_parameters()))

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the hyperparameters, for Trainer's checkpoints."""
        return {"args": {f.name: getattr(self, f.name) for f in fields(self)}, "attributes": {}}

    def _plans_steps(self) -> bool:
        return type(self).steps is not UnlearningCallback.steps

    def _steps_of(self, examples: ExampleDataset) -> Plan:
        return lambda epoch, size: self.steps(examples, epoch, size) or iter(())

    def _check_arguments(self, args: Any, loader: Any) -> None:
        if args.remove_unused_columns:
            raise MethodError(
                "Expected remove_unused_columns=False, or Trainer drops `is_forget` from the batches. Pass the method "
                "to Trainer(callbacks=[method]), which sets it; add_callback comes too late for that."
            )
        if (self._plans_steps() or self.order != "joint") and loader.dataset is not self._planned:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which lists the steps.")
        if args.fp16 and type(self).change_gradients is not UnlearningCallback.change_gradients:
            raise MethodError(
                f"Expected full precision or bf16=True, got fp16=True: {type(self).__name__} changes the gradients, "
                "and those of float16 are still scaled when it does."
            )
        if self.saliency_share is not None and self._mask is None:
            raise MethodError(
                "Expected train_dataset=method.prepare(model, examples), which finds the salient weights."
            )


def _in_a_pass(args: Any, step: int, examples: int) -> float:
    """Return how many of `examples`, shuffled each epoch, a pass of this step holds on average: the last are fewer."""
    batch = args.train_batch_size
    if args.dataloader_drop_last:
        examples -= examples % batch
    whole = batch * args.gradient_accumulation_steps
    here = min(whole, examples - whole * (step % math.ceil(examples / whole)))
    return here / math.ceil(here / batch)


def _of_process_0(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of every process the values of process 0, and return them: sums differ in their last digits."""
    if torch.distributed.is_initialized():
        for tensor in tensors.values():
            torch.distributed.broadcast(tensor, src=0)
    return tensors


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
