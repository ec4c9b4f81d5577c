"""Loading and saving image classifiers: always `AutoModelForImageClassification`, always safetensors."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from unlearn_audit.data.images import Images
from unlearn_audit.errors import ModelError
from unlearn_audit.models.adapters import is_adapter, load_adapter
from unlearn_audit.models.checkpoints import load_whole, processor_of
from unlearn_audit.models.naming import Checkpoint
from unlearn_audit.models.origin import ORIGIN, Origin
from unlearn_audit.models.preprocessing import Preprocessing
from unlearn_audit.models.training_record import TRAINING, read_training, write_training

_DRAFT = ".saving"  # in a model's folder while it is written
_REPLACED = ("*.safetensors", "*.safetensors.index.json", ORIGIN, TRAINING)  # of an earlier model, if this one has none


def load_model(
    source: str | Path,
    *,
    revision: str | None = None,
    processor: str | Path | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """Load an image classifier as it was saved, safetensors only.

    Args:
        source: a folder, a Hub id, `hub:USER/NAME[@REVISION]` or `hf://USER/NAME[@REVISION][/FOLDER]`, as transformers
            or timm saved it. An adapter of PEFT is loaded with the model that it was made for, and merged into it.
        revision: of a model on the Hub.
        processor: where its image processor is, if not beside it: Trainer saves none by itself.
        trust_remote_code: run code that comes with the model.

    Raises:
        ModelError: where there is no such model, it is no image classifier, it has no safetensors weights, or these are
            not those of its configuration: tensors that are missing, left over or of another shape.
    """
    checkpoint = Checkpoint.of(source)
    checkpoint = dataclasses.replace(checkpoint, revision=revision or checkpoint.revision)
    model, beside = _filled(checkpoint, trust_remote_code=trust_remote_code)
    if checkpoint.is_folder:
        read_training(model, Path(checkpoint.source) / checkpoint.subfolder)
    if model.config.model_type == "timm_wrapper":
        return ready(model)
    return with_processor(model, processor_of(beside if processor is None else Checkpoint.of(processor)))


def saved_weights_hash(folder: str | Path) -> str:
    """Return `weights_hash` of a saved model, which needs no image processor for that.

    Raises:
        ModelError: as `load_model`.
    """
    return weights_hash(_filled(Checkpoint.of(folder))[0])


def _filled(checkpoint: Checkpoint, **options: Any) -> tuple[Any, Checkpoint]:
    """Return a model whose weights fill it, and where its image processor is if nothing else is said."""
    return load_adapter(checkpoint) if is_adapter(checkpoint) else (load_whole(checkpoint, **options), checkpoint)


def with_processor(model: PreTrainedModel, processor: Any) -> PreTrainedModel:
    """Return `model`, one of your own making, tied to the image `processor` by which it takes its images.

    `fit`, `unlearn` and `predict` then prepare images as the processor does, and `save_model` writes it beside the
    weights. Models from `create_model` and `load_model` have theirs already.
    """
    Preprocessing.from_processor(processor, channels=getattr(model.config, "num_channels", 3)).attach(model)
    return ready(model)


def ready(model: Any) -> PreTrainedModel:
    """Return a model that Trainer does not misunderstand."""
    # Trainer believes any forward(**kwargs) to normalise its loss by num_items_in_batch. These models do not: see
    # docs; left alone, the loss would be wrong by the number of gradient accumulation steps.
    model.accepts_loss_kwargs = False
    prepared: PreTrainedModel = model
    return prepared


def save_model(model: nn.Module, folder: str | Path, *, unchanged: bool = False) -> None:
    """Write weights (safetensors), configuration and image processor, as stock classes load them.

    They take the place of a model that is there only once all are written. Beside them, `origin.json` keeps what the
    model was loaded from, for the card of what is made of it, and `training.json` how `fit` trained it, for an audit.

    Args:
        model: from `create_model` or `load_model`, trained or not.
        folder: made where it is missing.
        unchanged: say that the weights are those that were loaded.
    """
    stock, folder = cast("Any", model), Path(folder)
    draft = folder / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    try:
        stock.save_pretrained(draft)
        if stock.config.model_type != "timm_wrapper":  # whose configuration holds what its image processor needs
            Preprocessing.of(model).processor.save_pretrained(draft)
        dataclasses.replace(Origin.of(model), unchanged=unchanged).write(draft)
        write_training(model, draft)
        written = {path.name for path in draft.iterdir()}
        for path in [path for pattern in _REPLACED for path in folder.glob(pattern)]:
            if path.name not in written:
                path.unlink()
        for name in written:
            (draft / name).replace(folder / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def weights_hash(model: nn.Module) -> str:
    """Return the SHA-256, in hex, over names, types, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_classes(model: nn.Module, images: Images) -> None:
    """Raise `ModelError` where a model has fewer outputs than the images have classes."""
    stock: Any = model
    if stock.config.num_labels < images.num_classes:
        raise ModelError(
            f"Expected a model with an output for each of the {images.num_classes} classes of {images.name}, got one "
            f"with {stock.config.num_labels}. Take the model that was trained on these data, or other data."
        )


def classifier(model: nn.Module) -> nn.Linear:
    """Return the linear layer whose input is the embedding and whose output is the logits (n, c).

    Raises:
        ModelError: where the model has no such layer.
    """
    config: Any = model.config
    classes = config.num_labels
    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    if not linear:
        raise ModelError(
            f"Expected a linear layer with {classes} outputs at the end of {type(model).__name__}, found none, so its "
            "embeddings are not defined. Use embeddings from another model."
        )
    return linear[-1]
