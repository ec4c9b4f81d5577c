"""Local distillation without training: soft labels of the nearest retained examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._distillation import LocalDistillation
from unlearn_audit.methods.base import _check

__all__ = ["LocalTeacherKNN"]


@dataclass(eq=False, kw_only=True)
class LocalTeacherKNN(LocalDistillation):
    """LTD without a trained teacher: a forget example's target is the share of each label among the `k` nearest
    examples of the support, by cosine in the original model's embedding.

    Reference: Dolgova and Stich 2026 (arXiv 2605.31317).
    """

    k: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.k >= 1, self, "k", "a number of neighbours of at least 1")
        self._targets: Tensor | None = None  # (n, c), rows of images; zero outside the forget set

    def learn_from(self, model: nn.Module, examples: ExampleDataset, embeddings: Tensor, support_rows: Tensor) -> None:
        """Find each forget example's neighbours among the support."""
        unit = F.normalize(embeddings, dim=1)
        cosine = unit[examples.forget_rows] @ unit[support_rows].T  # (f, s)
        nearest = support_rows[cosine.topk(min(self.k, len(support_rows)), dim=1).indices]
        labels = torch.as_tensor(examples.images.labels)[nearest]  # (f, k)
        shares = F.one_hot(labels, examples.images.num_classes).float().mean(dim=1)
        self._targets = torch.zeros(len(examples.images), examples.images.num_classes)
        self._targets[examples.forget_rows] = shares
        self._targets = self._targets.to(examples.device)

    def targets(self, batch: dict[str, Tensor], forget: Tensor) -> Tensor:
        """Return the label shares (f, c) of the batch's forget examples."""
        if self._targets is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which finds the neighbours.")
        return self._targets[batch["index"][forget]]
