"""The support of a local teacher: retained examples chosen by proximity to the forget set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.data.randomness import draw_rows
from unlearn_audit.errors import MethodError
from unlearn_audit.models.prediction import predict
from unlearn_audit.proximities import registry as proximities

CHOICES = ("nearest", "random", "farthest")


def embed(model: nn.Module, examples: ExampleDataset) -> Tensor:
    """Return the model's embeddings (n, d) of all images of `examples`: evaluation mode, no augmentation."""
    return torch.from_numpy(predict(model, examples.images).embeddings)


def centroid_proximity(embeddings: Tensor, examples: ExampleDataset) -> Tensor:
    """Return the cosine (m,) of each retain row's embedding to the forget centre (arXiv 2605.31317)."""
    proximity = proximities.create("centroid")
    return torch.as_tensor(proximity(embeddings[examples.retain_rows], embeddings[examples.forget_rows]))


def choose(rows: Tensor, proximity: Tensor | None, count: int, *, choice: str, seed: int) -> Tensor:
    """Return `count` of the given rows (m,), in order: the nearest, the farthest, or random ones.

    `proximity` (m,) may be None for a random choice. Ties go to the earlier row.
    """
    count = min(count, len(rows))
    if choice == "random":
        return draw_rows(rows, count / max(1, len(rows)), seed=seed)
    if proximity is None:
        raise MethodError(f"Expected the proximity of each row to choose the {choice} ones, got none.")
    order = torch.argsort(proximity, descending=choice == "nearest", stable=True)
    return rows[order[:count].sort().values]
