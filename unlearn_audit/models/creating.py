"""Models to be trained: an architecture with random weights, or a pretrained checkpoint with a head for the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PretrainedConfig,
    PreTrainedModel,
    TimmWrapperConfig,
    ViTImageProcessor,
    set_seed,
)

from unlearn_audit.data.images import Images
from unlearn_audit.errors import ModelError, did_you_mean
from unlearn_audit.models.checkpoints import check_weights, load_config, load_weights, processor_of
from unlearn_audit.models.loading import classifier, ready, with_processor
from unlearn_audit.models.naming import ALIASES, Checkpoint, checkpoint_named, transformers_names
from unlearn_audit.models.origin import without_origin

# Normalisation of models trained from scratch: fixed, so that nothing about the forget set enters a retrained model
# through the statistics of the images.
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)


def create_model(
    name: str | Path,
    images: Images,
    *,
    seed: int,
    image_size: int | tuple[int, int] | None = None,
    pretrained: bool | None = None,
    **model_args: Any,
) -> PreTrainedModel:
    """Make a model for the classes of `images`, to be trained: all that is random in it comes from `seed`.

    Args:
        name: an architecture, which starts from random weights: of timm, one of this package's `resnet8` …
            `resnet110`, `vit_tiny_patch4`, or of transformers by its model type (`vit`, `convnextv2`, …). Or a
            checkpoint, which starts from its weights: a folder, a Hub id, or `hf://USER/NAME[@REVISION][/FOLDER]`, as
            transformers or timm saved it, with safetensors weights. Where its classes are not those of `images`, by
            name and order, its head is replaced by a new one, as `AutoModelForImageClassification` does for other
            numbers of classes.
        images: gives the classes and the height and width in pixels; its pixels are not looked at.
        seed: of the random initial weights. Those of a timm architecture are drawn by transformers' wrapper of it
            (normal, deviation 0.02), not by timm; `cnn8` keeps its own.
        image_size: height and width (or both in one) that an architecture takes; by default those of
            `images`. What a checkpoint takes, its image processor says.
        pretrained: True takes a timm architecture's checkpoint from the Hub; False takes a checkpoint's configuration
            with random weights.
        model_args: passed to the timm architecture, for example `shortcut="B"` or `depth=4`, or put over the
            configuration of transformers, for example `hidden_size=64` or `drop_path_rate=0.1`.

    Raises:
        ModelError: for an unknown name or arguments that it does not take; for a checkpoint whose weights do not fill
            the model below its head.
    """
    name = str(name)
    checkpoint = checkpoint_named(name, pretrained=pretrained)
    if checkpoint is not None:
        return _from_checkpoint(checkpoint, images, seed, model_args, random_weights=pretrained is False)
    size = images.pixels.shape[1], images.pixels.shape[2]
    if image_size is not None:
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if name in transformers_names():
        model = _built(name, _transformers_config(name, images, size, model_args), seed, model_args)
        return with_processor(model, _plain_processor(size, channels=getattr(model.config, "num_channels", 3)))
    return ready(_built(name, _timm_config(name, images, size, model_args), seed, model_args))


def _plain_processor(size: tuple[int, int], *, channels: int) -> ViTImageProcessor:
    height, width = size
    mean, std = list(MEAN[:channels]), list(STD[:channels])
    return ViTImageProcessor(size={"height": height, "width": width}, image_mean=mean, image_std=std)


def _built(name: str, config: PretrainedConfig, seed: int, model_args: dict[str, Any]) -> PreTrainedModel:
    set_seed(seed)
    try:
        return AutoModelForImageClassification.from_config(config)
    except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
        raise ModelError(f"The model {name!r} cannot be built with the arguments {model_args}: {error}") from error


def _labels(images: Images) -> dict[str, Any]:
    names = list(images.class_names)
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {label: index for index, label in enumerate(names)},
    }


def _timm_config(name: str, images: Images, size: tuple[int, int], model_args: dict[str, Any]) -> TimmWrapperConfig:
    architecture, extra = ALIASES.get(name, (name, {}))
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
    further: dict[str, Any] = {"label_names": list(images.class_names), "pretrained_cfg": pretrained}
    return TimmWrapperConfig(architecture=architecture, model_args=arguments, **further, **_labels(images))


def _takes_image_size(architecture: str) -> bool:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, allow_unregistered=True)
    return config is not None and bool(config.fixed_input_size)


def _transformers_config(
    name: str, images: Images, size: tuple[int, int], model_args: dict[str, Any]
) -> PretrainedConfig:
    config = _with_arguments(AutoConfig.for_model(name), {}, name)
    sized = {"image_size": size[0] if size[0] == size[1] else list(size)} if hasattr(config, "image_size") else {}
    _with_arguments(config, model_args, name)  # names the arguments that it does not know
    return AutoConfig.for_model(name, **{**sized, **model_args, **_labels(images)})


def _with_arguments(config: PretrainedConfig, arguments: dict[str, Any], name: str) -> PretrainedConfig:
    """Put arguments over a configuration of transformers, which would take any name for one of its own."""
    for argument, value in arguments.items():
        if argument not in config.to_dict() and not hasattr(config, argument):
            raise ModelError(
                f"The model {name!r} cannot be built with the argument {argument!r}, which its configuration does not "
                f"have.{did_you_mean(argument, config.to_dict())}"
            )
        try:
            setattr(config, argument, value)
        except (TypeError, ValueError) as error:
            raise ModelError(f"The model {name!r} cannot be built with {argument}={value!r}: {error}") from error
    return config


def _from_checkpoint(
    checkpoint: Checkpoint, images: Images, seed: int, model_args: dict[str, Any], *, random_weights: bool
) -> PreTrainedModel:
    config: Any = load_config(checkpoint)
    known = [config.id2label.get(index) for index in range(config.num_labels)] == list(images.class_names)
    for name, value in {**_labels(images), **({"label_names": list(images.class_names)} if not known else {})}.items():
        setattr(config, name, value)
    if config.model_type == "timm_wrapper":
        config.model_args = {**(config.model_args or {}), **model_args}
    else:
        _with_arguments(config, model_args, checkpoint.source)
    if random_weights:
        model = _built(checkpoint.source, without_origin(config), seed, model_args)
    else:
        model = _pretrained(checkpoint, config, seed, new_head=not known)
    if config.model_type == "timm_wrapper":
        return ready(model)
    return with_processor(model, processor_of(checkpoint))


def _pretrained(checkpoint: Checkpoint, config: PretrainedConfig, seed: int, *, new_head: bool) -> PreTrainedModel:
    set_seed(seed)
    model, loaded = load_weights(checkpoint, config)
    head = classifier(model)
    prefix = next(name for name, module in model.named_modules() if module is head)
    # What is left over belongs to another head: checkpoints of other tasks start well, as long as all below is there.
    below = {
        "missing_keys": [name for name in loaded["missing_keys"] if not name.startswith(f"{prefix}.")],
        "mismatched_keys": [found for found in loaded["mismatched_keys"] if not found[0].startswith(f"{prefix}.")],
        "unexpected_keys": [],
    }
    check_weights(checkpoint, model, below)
    untouched = len(below["missing_keys"]) == len(loaded["missing_keys"])
    untouched &= len(below["mismatched_keys"]) == len(loaded["mismatched_keys"])
    if new_head and untouched:  # of the same size, but of other classes
        torch.nn.init.normal_(head.weight, std=getattr(config, "initializer_range", 0.02))
        torch.nn.init.zeros_(head.bias)
    return model
