"""Settings of a Trainer that let a method do next to nothing: what is good for fine-tuning often is.

Each is warned of and none refused, since it may be meant.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

_RATE_LEFT = 0.1  # of the learning rate, on average over the steps
_MOVED = 5e-5  # of the norm of the weights that train; two steps of AdamW at a rate of 1e-5 move twice as much
_LOOKED_AT = 1000  # steps of a schedule


def warn_before(method: Any, args: Any, model: nn.Module, *, steps: int, optimizer: Any, scheduler: Any) -> None:
    """Warn of clipping that undoes an ascent, of a schedule without much rate, of an optimizer of other weights."""
    for problem in (*_clipping(method, args), *_schedule(args, steps, scheduler), *_optimizer(model, optimizer)):
        warnings.warn(f"{type(method).__name__}: {problem}", stacklevel=3)


def warn_after(method: Any, args: Any, model: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Warn where the weights that train moved by less than a twenty-thousandth of their norm."""
    pairs = [(p.detach().float(), before[name].float()) for name, p in model.named_parameters() if p.requires_grad]
    size = sum(float(old.square().sum()) for _, old in pairs) ** 0.5
    moved = sum(float((new - old).square().sum()) for new, old in pairs) ** 0.5
    if 0 < moved < _MOVED * size:
        warnings.warn(
            f"{type(method).__name__}: the weights moved by {moved / size:.1g} of their norm: the model is as good as "
            f"unchanged. Look at learning_rate={args.learning_rate:g} for optim='{args.optim.value}': rates for AdamW "
            "are far too small for SGD, and weights in half precision round small steps away. "
            "TrainingConfig(**method.training_defaults) has what the authors of the method use.",
            stacklevel=3,
        )


def _clipping(method: Any, args: Any) -> Iterator[str]:
    if method.ascends and args.max_grad_norm > 0:
        yield (
            f"it climbs, and max_grad_norm={args.max_grad_norm:g} clips its gradients, as Trainer does by default: it "
            "may go hardly anywhere. Pass max_grad_norm=0.0 unless that is meant."
        )


def _schedule(args: Any, steps: int, scheduler: Any) -> Iterator[str]:
    factors = getattr(getattr(scheduler, "scheduler", scheduler), "lr_lambdas", None)
    if not factors or steps < 1:
        return
    looked_at = range(0, steps, max(1, steps // _LOOKED_AT))
    left = max(sum(float(factor(step)) for step in looked_at) / len(looked_at) for factor in factors)
    if left < _RATE_LEFT:
        named = f"lr_scheduler_type='{args.lr_scheduler_type.value}', warmup_steps={args.get_warmup_steps(steps)}"
        yield (
            f"over its {steps} steps the schedule leaves {left:.2g} of learning_rate={args.learning_rate:g} on average "
            f"({named}): it may go hardly anywhere. Unlearning is short: pass warmup_steps=0, or "
            "lr_scheduler_type='constant'."
        )


def _optimizer(model: nn.Module, optimizer: Any) -> Iterator[str]:
    held = {id(p) for group in getattr(optimizer, "param_groups", ()) for p in group["params"]}
    training = [id(p) for p in model.parameters() if p.requires_grad]
    if held and training and not held & set(training):
        yield (
            "the optimizer holds none of the weights that train, so it will move none of them. Build it from "
            "this model, after adapters are added and layers replaced: optimizers=(SGD(model.parameters(), …), None)."
        )
