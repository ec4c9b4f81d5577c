"""How an unlearning loss enters a stock `Trainer`: two hooks on the model.

A Trainer callback sees no batch and no loss, and `compute_loss_func` cannot be set from one. So a forward pre-hook
takes from the keyword arguments what the model does not know (`is_forget`, `index`), and in training the labels too;
a forward hook then puts the method's loss in place of the model's. This works below DDP, autocast and
`torch.compile`, with gradient accumulation, and in evaluation, where it only takes the extra arguments away.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from unlearn_audit.errors import MethodError


class LossOwner(Protocol):
    """What a `LossHook` asks for the loss."""

    def before_forward(self, model: nn.Module) -> None:
        """Do what must be done before each forward pass of training."""

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the batch that the model and the loss shall see."""

    def per_example_loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Map logits (n, c) and the batch to the loss (n,)."""

    def examples_a_pass(self, here: int) -> float:
        """Return how many examples a forward pass of this step holds, on average; the present one holds `here`."""


class LossHook:
    """The two hooks on one model; `owner` is the method whose loss counts, or None."""

    ATTRIBUTE = "_unlearn_audit_loss_hook"

    @classmethod
    def on(cls, model: nn.Module) -> LossHook:
        """Return the hook of `model`, attached at the first call."""
        found = model.__dict__.get(cls.ATTRIBUTE)
        if found is None:
            found = model.__dict__[cls.ATTRIBUTE] = cls(model)
        return found

    def __init__(self, model: nn.Module):
        self.owner: LossOwner | None = None
        below: Any = getattr(model, "get_base_model", None)  # PEFT's own forward takes anything
        inner = model if below is None else below()
        parameters = inspect.signature(inner.forward).parameters.values()
        self._known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        self._pending: tuple[LossOwner, dict[str, Tensor], Any] | None = None
        self._handles = [
            model.register_forward_pre_hook(self._before, with_kwargs=True, prepend=True),
            model.register_forward_hook(self._after),
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> LossHook:
        """A copy of a hooked model shares no state: its hooks only take the extra arguments away."""
        copied = object.__new__(type(self))
        copied.__dict__ = {"owner": None, "_known": self._known, "_pending": None, "_handles": []}
        return copied

    def claim(self, owner: LossOwner) -> None:
        """Make `owner` the one whose loss counts; two at once raise `MethodError`."""
        if self.owner not in (None, owner):
            raise MethodError(
                f"Expected one unlearning method on a model, got {type(self.owner).__name__} and "
                f"{type(owner).__name__}. Run them one after the other, or use one method's own options."
            )
        self.owner = owner

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let the owner run the model inside its loss, in passes that are no part of the training."""
        owner, self.owner = self.owner, None
        try:
            yield
        finally:
            self.owner = owner

    def detach(self, model: nn.Module) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()
        model.__dict__.pop(self.ATTRIBUTE, None)

    def _before(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        extra = {name: kwargs.pop(name) for name in list(kwargs) if name not in self._known}
        count = extra.pop("num_items_in_batch", None)
        if self.owner is not None and model.training:
            self._need_labels({**kwargs, **extra})
            batch = self.owner.inputs({**kwargs, **extra})
            self._pending = (self.owner, batch, count)
            kwargs = {name: batch[name] for name in kwargs if name != "labels"}
            self.owner.before_forward(model)
        return args, kwargs

    def _need_labels(self, batch: dict[str, Tensor]) -> None:
        if "labels" not in batch:
            self.owner = None
            raise MethodError(
                f"Expected `labels` in the batches, got {sorted(batch)}. Trainer keeps them from the model where "
                "label_smoothing_factor or compute_loss_func is set; an unlearning method has a loss of its own, so "
                "leave both out."
            )

    def _after(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._pending is None:
            return None
        (owner, batch, count), self._pending = self._pending, None
        loss = owner.per_example_loss(output.logits.float(), batch)
        output["loss"] = loss.sum() / (owner.examples_a_pass(len(loss)) if count is None else count)
        return output
