"""Building, loading and saving image classifiers: always `AutoModelForImageClassification`, always safetensors.

Network access of this package for models happens here alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    TimmWrapperConfig,
    set_seed,
)

from unlearn_audit.data.images import Images
from unlearn_audit.errors import ModelError, did_you_mean
from unlearn_audit.models.preprocessing import Preprocessing

# Normalisation of models trained from scratch: fixed, so that nothing about the forget set enters a retrained model
# through the statistics of the images.
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)

# The paper's ViT-Tiny for 32 x 32 images: timm's, with patches of 4 pixels.
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit_tiny_patch4": ("vit_tiny_patch16_224", {"patch_size": 4}),
}


# Tensors that no prediction depends on, which other versions of the libraries save or leave out.
_COUNTERS = ("num_batches_tracked", "position_ids")
_SHOWN = 3  # of the tensors that are wrong
# What the libraries raise for files that are missing, torn or of another kind.
_UNREADABLE = (OSError, ValueError, RuntimeError, TypeError, AttributeError, LookupError, SafetensorError)


def create_model(
    name: str, images: Images, *, seed: int, image_size: tuple[int, int] | None = None, **model_args: Any
) -> PreTrainedModel:
    """Build an untrained timm model `name` for the classes and the size of `images`, initialised from `seed`.

    Args:
        name: a timm architecture, one of this package's `resnet8` … `resnet110`, or `vit_tiny_patch4`.
        images: gives the classes and the height and width in pixels; its pixels are not looked at.
        seed: of the random initial weights.
        image_size: height and width that the model takes; by default that of `images`.
        model_args: passed to the timm architecture, for example `shortcut="B"` or `depth=4`.

    Raises:
        ModelError: for an unknown architecture or arguments that it does not take.
    """
    config = _timm_config(name, images, image_size or images.pixels.shape[1:3], model_args)
    set_seed(seed)
    try:
        model = AutoModelForImageClassification.from_config(config)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ModelError(f"The model {name!r} cannot be built with the arguments {model_args}: {error}") from error
    return _prepared(model)


def _timm_config(name: str, images: Images, size: tuple[int, int], model_args: dict[str, Any]) -> TimmWrapperConfig:
    import timm

    architecture, extra = ALIASES.get(name, (name, {}))
    if not timm.is_model(architecture):
        known = [*ALIASES, *timm.list_models()]
        raise ModelError(f"There is no timm model {name!r}.{did_you_mean(name, known)}")
    arguments = {**extra, **model_args}
    if _takes_image_size(architecture):
        arguments.setdefault("img_size", list(size) if size[0] != size[1] else size[0])
    pretrained = {
        "input_size": [3, *size],
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "num_classes": images.num_classes,
    }
    further: dict[str, Any] = {
        "pretrained_cfg": pretrained,
        "num_labels": images.num_classes,
        "id2label": dict(enumerate(images.class_names)),
        "label2id": {label: index for index, label in enumerate(images.class_names)},
        "label_names": list(images.class_names),
    }
    return TimmWrapperConfig(architecture=architecture, model_args=arguments, **further)


def _takes_image_size(architecture: str) -> bool:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, allow_unregistered=True)
    return config is not None and bool(config.fixed_input_size)


def load_model(source: str | Path, *, revision: str | None = None, trust_remote_code: bool = False) -> PreTrainedModel:
    """Load an image classifier from a folder or a Hub id, safetensors only.

    Raises:
        ModelError: where there is no such model, it is no image classifier, it has no safetensors weights, or these are
            not those of its configuration: tensors that are missing, left over or of another shape.
    """
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(source, **options)
        model, loaded = AutoModelForImageClassification.from_pretrained(
            source,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, by name
            **options,
        )
    except _UNREADABLE as error:
        raise ModelError(
            f"Expected a folder or Hub id of an image classifier with safetensors weights, got {str(source)!r}: {error}"
        ) from error
    _check_weights(source, model, loaded)
    if config.model_type != "timm_wrapper":
        return with_processor(model, _processor(source, options))
    return _prepared(model)


def _processor(source: str | Path, options: Mapping[str, Any]) -> Any:
    try:
        return AutoImageProcessor.from_pretrained(source, **options)
    except _UNREADABLE as error:
        raise ModelError(
            f"Expected an image processor beside the model {str(source)!r}, found none that can be read "
            f"({error}). Save one there with its save_pretrained."
        ) from error


def _check_weights(source: str | Path, model: nn.Module, loaded: Mapping[str, Any]) -> None:
    """Refuse weights that leave a part of the model as it was drawn at random, or that belong to another model."""
    derived = {name for name, _ in model.named_buffers()} - model.state_dict().keys()
    wrong = [
        *(f"{name} is missing" for name in sorted(loaded["missing_keys"]) if not name.endswith(_COUNTERS)),
        *(
            f"{name} has the shape {tuple(found)} where the configuration says {tuple(expected)}"
            for name, found, expected in sorted(loaded["mismatched_keys"])
        ),
        *(
            f"{name} is not of this architecture"
            for name in sorted(loaded["unexpected_keys"])
            if not name.endswith(_COUNTERS) and name not in derived
        ),
    ]
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ModelError(
            f"Expected weights for every layer of the {type(model).__name__} that the configuration of {str(source)!r} "
            f"describes, but {'; '.join(wrong[:_SHOWN])}{more}. Save the model again with save_pretrained, or mend its "
            "config.json."
        )


def with_processor(model: PreTrainedModel, processor: Any) -> PreTrainedModel:
    """Return `model`, one of your own making, tied to the image `processor` by which it takes its images.

    `fit`, `unlearn` and `predict` then prepare images as the processor does, and `save_model` writes it beside the
    weights. Models from `create_model` and `load_model` have theirs already.
    """
    Preprocessing.from_processor(processor).attach(model)
    return _prepared(model)


def _prepared(model: Any) -> PreTrainedModel:
    # Trainer believes any forward(**kwargs) to normalise its loss by num_items_in_batch. These models do not: see
    # docs; left alone, the loss would be wrong by the number of gradient accumulation steps.
    model.accepts_loss_kwargs = False
    prepared: PreTrainedModel = model
    return prepared


def save_model(model: nn.Module, folder: str | Path) -> None:
    """Write weights (safetensors), configuration and image processor, as stock classes load them."""
    stock: Any = model
    stock.save_pretrained(folder)
    if stock.config.model_type != "timm_wrapper":  # whose configuration holds what its image processor needs
        Preprocessing.of(model).processor.save_pretrained(folder)


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
