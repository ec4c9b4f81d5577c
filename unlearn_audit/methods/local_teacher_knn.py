"""Local distillation without training: soft labels of the nearest retained examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.errors import MethodError
from unlearn_audit.methods._copies import frozen
from unlearn_audit.methods._distillation import LocalDistillation
from unlearn_audit.methods._scope import Scope
from unlearn_audit.methods.base import _check
from unlearn_audit.models.prediction import captured_embeddings

__all__ = ["LocalTeacherKNN"]


@dataclass(eq=False, kw_only=True)
class LocalTeacherKNN(LocalDistillation):
    """LTD without a trained teacher: a forget example's target is the share of each label among the `k` nearest
    examples of the support, by cosine in the original model's embedding.

    The neighbours are found anew for each augmented view that the student sees, as the authors do.

    Reference: Dolgova and Stich 2026 (arXiv 2605.31317).
    """

    k: int = 10

    scope: ClassVar[Scope] = Scope(
        needs="forget and retain", random="yes", partial="yes", whole="with care", cost="1.3 E n_f / n"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.k >= 1, self, "k", "a number of neighbours of at least 1")
        self._original: nn.Module | None = None
        self._support: tuple[Tensor, Tensor] | None = None

    def learn_from(self, model: nn.Module, examples: ExampleDataset, embeddings: Tensor, support_rows: Tensor) -> None:
        """Keep the original, and the support's embeddings (s, d), of length 1, and labels (s,)."""
        self._original = frozen(model, examples)
        labels = torch.as_tensor(examples.images.labels)[support_rows]
        self._support = F.normalize(embeddings[support_rows], dim=1).to(examples.device), labels.to(examples.device)

    @torch.no_grad()
    def targets(self, batch: dict[str, Tensor], forget: Tensor) -> Tensor:
        """Return the label shares (f, c) among the neighbours of the batch's views of forget examples."""
        if self._original is None or self._support is None:
            raise MethodError("Expected train_dataset=method.prepare(model, examples), which keeps the support.")
        known, labels = self._support
        with captured_embeddings(self._original) as embeddings:
            logits = self._original(pixel_values=batch["pixel_values"][forget]).logits
        cosine = F.normalize(embeddings[0], dim=1) @ known.T  # (f, s)
        nearest = cosine.topk(min(self.k, len(labels)), dim=1).indices
        return F.one_hot(labels[nearest], logits.shape[1]).float().mean(dim=1)
