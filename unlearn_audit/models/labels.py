"""Whether a model's outputs mean what the data's labels mean: both have names, and may have them in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from unlearn_audit.data.images import Images
from unlearn_audit.errors import ModelError, did_you_mean
from unlearn_audit.models.loading import check_classes, classifier


def output_order(model: nn.Module, images: Images) -> np.ndarray | None:
    """Return which output (c,) of the model is each class of the images, then the outputs left over.

    None where the order is the same, or where the names tell nothing: a model that was saved without any calls its
    classes LABEL_0, LABEL_1, …

    Raises:
        ModelError: where only some of the classes are among the model's, or there are fewer outputs than classes.
    """
    check_classes(model, images)
    config: Any = model.config
    theirs = [str(config.id2label.get(index, f"LABEL_{index}")) for index in range(config.num_labels)]
    ours = list(images.class_names)
    if theirs[: len(ours)] == ours or not set(ours) & set(theirs):
        return None
    missing = [name for name in ours if name not in theirs]
    if missing:
        raise ModelError(
            f"Expected a model that knows the classes of {images.name}, got one that does not name {missing[0]!r}, "
            f"though it names others of them.{did_you_mean(missing[0], theirs)} Mend id2label in its configuration, or "
            "the names in the data."
        )
    chosen = [theirs.index(name) for name in ours]
    return np.array([*chosen, *(index for index in range(len(theirs)) if index not in chosen)])


def with_classes_of(model: Any, images: Images) -> Any:
    """Return `model` with its outputs in the order of the images' classes: the rows of its head are reordered."""
    order = output_order(model, images)
    if order is None:
        return model
    head, names = classifier(model), [model.config.id2label[int(index)] for index in order]
    with torch.no_grad():
        head.weight.copy_(head.weight[torch.as_tensor(order)])
        if head.bias is not None:
            head.bias.copy_(head.bias[torch.as_tensor(order)])
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: index for index, name in enumerate(names)}
    if hasattr(model.config, "label_names"):
        model.config.label_names = names
    return model


def check_order(model: nn.Module, images: Images) -> None:
    """Raise `ModelError` where a model would be trained on labels that mean other classes to it."""
    if output_order(model, images) is not None:
        raise ModelError(
            f"Expected a model whose classes are in the order of {images.name}, {_few(images.class_names)}, got them "
            "in another: training would take each for another. Reorder its head first: with_classes_of(model, "
            "data.train) from unlearn_audit.models."
        )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
