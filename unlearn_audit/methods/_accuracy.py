"""How often a model names forget examples rightly, in the middle of its unlearning."""

from __future__ import annotations

import torch
from torch import nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.methods.hooks import LossHook
from unlearn_audit.models.prediction import evaluation_mode

_BATCH = 256


@torch.no_grad()
def forget_accuracy(model: nn.Module, examples: ExampleDataset) -> float:
    """Return the share of the forget set, in [0, 1], that a model names rightly.

    In evaluation mode and without augmentation; the model's mode and loss stay as they are.
    """
    plain, rows, right = examples.without_augmentation(), examples.forget_rows, 0
    with LossHook.on(model).paused(), evaluation_mode(model):
        for part in rows.split(_BATCH):
            batch = plain.batch(part)
            said = model(pixel_values=batch["pixel_values"]).logits.argmax(dim=1)
            right += int((said == batch["labels"]).sum())
    return right / len(rows)
