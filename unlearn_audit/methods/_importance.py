"""How much each weight matters to some examples: gradients of the original model, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.models.prediction import evaluation_mode

Objective = Callable[[Tensor, Tensor], Tensor]  # logits (n, c) and labels (n,) to one number


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy, summed over examples."""
    return F.cross_entropy(logits, labels, reduction="sum")


def mean_squared_norm(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of the logits' squared norms, which no label has a part in."""
    return logits.square().sum(dim=1).mean()


def gradients(
    model: nn.Module, examples: ExampleDataset, rows: Tensor, objective: Objective, *, group: int
) -> Iterator[dict[str, Tensor]]:
    """Yield the gradient of the objective on each `group` of rows, by parameter; zeros where it has no part.

    In evaluation mode, without augmentation and in float32; weights, buffers and `.grad` stay as they are.
    """
    plain = examples.subset(rows).without_augmentation()
    parameters = dict(model.named_parameters())
    model.to(examples.device)
    with evaluation_mode(model):
        for part in rows.split(group):
            batch = plain.batch(part)
            logits = model(pixel_values=batch["pixel_values"]).logits.float()
            found = torch.autograd.grad(
                objective(logits, batch["labels"]), list(parameters.values()), allow_unused=True
            )
            yield {
                name: torch.zeros_like(p) if one is None else one
                for (name, p), one in zip(parameters.items(), found, strict=True)
            }


def mean_over_groups(found: Iterator[dict[str, Tensor]], change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Return the mean over groups of `change(gradient)`, by parameter."""
    total: dict[str, Tensor] = {}
    groups = 0
    for one in found:
        groups += 1
        for name, gradient in one.items():
            total[name] = total[name] + change(gradient) if name in total else change(gradient)
    return {name: value / groups for name, value in total.items()}
