"""Logits and embeddings of a model, in one forward pass, on one or several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from unlearn_audit.data.images import ImageData, Images
from unlearn_audit.files import versions
from unlearn_audit.models.labels import output_order
from unlearn_audit.models.loading import classifier, weights_hash
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.models.training_record import training_record
from unlearn_audit.predictions import Predictions
from unlearn_audit.processes import process_state

if TYPE_CHECKING:
    from accelerate import PartialState

_PACKAGES = ("torch", "transformers", "timm")  # whose versions can change a prediction

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@contextlib.contextmanager
def captured_embeddings(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the classifier's input, flattened to (n, d), of each forward pass inside the block."""
    captured: list[Tensor] = []
    hook = classifier(model).register_forward_pre_hook(
        lambda module, inputs: captured.append(inputs[0].detach().flatten(1).float())
    )
    try:
        yield captured
    finally:
        hook.remove()


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch the model to evaluation mode inside the block, and back to what it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def predict(
    model: nn.Module,
    data: Images | ImageData,
    *,
    batch_size: int | None = None,
    embeddings: bool = True,
    precision: str = "float32",
    model_id: str | None = None,
) -> Predictions:
    """Return logits (n, c) and embeddings (n, d) of all examples, in evaluation mode and without augmentation.

    `batch_size` is of a forward pass: by default 512, and 64 on one thread of a CPU.

    Logits are in the order of the data's classes, also where the model's own `id2label` has them in another.

    Under several processes each computes whole batches of its own, so that the result does not depend on their
    number, and every process returns all examples. Of `ImageData`, training rows come first, then test rows.
    """
    splits = (data.train, data.test) if isinstance(data, ImageData) else (data,)
    order = output_order(model, splits[0])
    size = _usual_batch() if batch_size is None else batch_size
    parts = [_forward(model, images, size, embeddings, PRECISIONS[precision]) for images in splits]
    return Predictions(
        example_ids=np.concatenate([images.ids for images in splits]),
        splits=np.concatenate([np.full(len(images), images.split) for images in splits]),
        labels=np.concatenate([images.labels for images in splits]),
        logits=_ordered(np.concatenate([logits for logits, _ in parts]), order),
        embeddings=np.concatenate([found for _, found in parts]) if embeddings else None,
        metadata=_metadata(model, data, precision, model_id),
    )


def _usual_batch() -> int:
    """Return what is fastest: small where the C library would fetch the pages of large arrays anew for each layer.

    Several threads wait for each other at each layer, which small batches make more of.
    """
    return 64 if process_state().device.type == "cpu" and torch.get_num_threads() == 1 else 512


def _ordered(logits: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Return logits (n, c) with the data's classes first and in their order, whatever that of the model is."""
    return logits if order is None else np.ascontiguousarray(logits[:, order])


def _metadata(model: Any, data: Images | ImageData, precision: str, model_id: str | None) -> dict[str, str]:
    found, trained = versions(_PACKAGES), training_record(model)
    return {
        "model_id": model_id or model.name_or_path or type(model).__name__,
        "weights_hash": weights_hash(model),
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "preprocessing": Preprocessing.of(model).to_metadata(),
        "precision": precision,
        "versions": " ".join(f"{package}={found[package]}" for package in _PACKAGES),
        **({} if trained is None else {"training": trained}),
    }


@torch.no_grad()  # not inference_mode: weights moved inside it could never be trained again
def _forward(
    model: Any, images: Images, batch_size: int, embeddings: bool, dtype: torch.dtype | None
) -> tuple[np.ndarray, np.ndarray | None]:
    state = process_state()
    model.to(device=state.device, memory_format=torch.channels_last)
    starts = range(0, len(images), batch_size)
    mine = [slice(s, s + batch_size) for s in starts[state.process_index :: state.num_processes]]
    prepare = Preprocessing.of(model)
    logits, found = [], []
    autocast = torch.autocast(state.device.type, dtype, enabled=dtype is not None)
    with evaluation_mode(model), autocast, contextlib.ExitStack() as stack:
        captured = stack.enter_context(captured_embeddings(model)) if embeddings else []
        for rows in mine:
            batch = torch.tensor(images.pixels[rows]).to(state.device)
            logits.append(model(pixel_values=prepare(batch)).logits.float().cpu().numpy())
            if embeddings:
                found.append(captured.pop().cpu().numpy())
    return _gathered(logits, state, len(starts)), _gathered(found, state, len(starts)) if embeddings else None


def _gathered(batches: list[np.ndarray], state: PartialState, count: int) -> np.ndarray:
    if state.num_processes == 1:
        return np.concatenate(batches)
    from accelerate.utils import gather_object

    per_process = gather_object([batches])
    return np.concatenate([per_process[i % state.num_processes][i // state.num_processes] for i in range(count)])
