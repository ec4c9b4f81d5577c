"""Reads saved models with transformers: configuration, weights and image processor, each with its errors in words.

Network access of this package for models happens here alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from unlearn_audit.errors import ModelError
from unlearn_audit.models.naming import Checkpoint

# Tensors that no prediction depends on, which other versions of the libraries save or leave out.
_COUNTERS = ("num_batches_tracked", "position_ids")
_SHOWN = 3  # of the tensors that are wrong
# What the libraries raise for files that are missing, torn or of another kind.
UNREADABLE = (OSError, ValueError, RuntimeError, TypeError, AttributeError, LookupError, SafetensorError)


def load_whole(checkpoint: Checkpoint, **options: Any) -> Any:
    """Return a saved model whose weights fill it, or raise `ModelError`."""
    model, loaded = load_weights(checkpoint, load_config(checkpoint, **options), **options)
    check_weights(checkpoint, model, loaded)
    return model


def load_config(checkpoint: Checkpoint, **options: Any) -> Any:
    """Return the configuration of a saved model, or raise `ModelError`."""
    try:
        config = AutoConfig.from_pretrained(checkpoint.source, **checkpoint.options, **options)
    except UNREADABLE as error:
        raise ModelError(_expected(checkpoint, error)) from error
    if config.model_type == "timm_wrapper" and config.model_args:
        # timm saves the number of classes here too, which then could not be another.
        config.model_args = {name: value for name, value in config.model_args.items() if name != "num_classes"}
    return config


def load_weights(checkpoint: Checkpoint, config: Any, **options: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the model that `config` describes with the weights of a saved one, and what `check_weights` looks at."""
    try:
        model, loaded = AutoModelForImageClassification.from_pretrained(
            checkpoint.source,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `check_weights` names them
            **checkpoint.options,
            **options,
        )
    except UNREADABLE as error:
        raise ModelError(_expected(checkpoint, error)) from error
    return model, loaded


def _expected(checkpoint: Checkpoint, error: BaseException) -> str:
    return (
        "Expected a folder or Hub id of an image classifier with safetensors weights, got "
        f"{checkpoint.source!r}: {error}"
    )


def processor_of(checkpoint: Checkpoint) -> Any:
    """Return the image processor beside a saved model, or raise `ModelError`."""
    try:
        return AutoImageProcessor.from_pretrained(checkpoint.source, **checkpoint.options)
    except UNREADABLE as error:
        raise ModelError(
            f"Expected an image processor beside the model {checkpoint.source!r}, found none that can be read "
            f"({_first_line(error)}). Trainer saves one where it gets Trainer(processing_class=processor). Save one "
            "there with its save_pretrained, or say where it is: processor=…, on the command line --processor."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_weights(checkpoint: Checkpoint, model: nn.Module, loaded: Mapping[str, Any]) -> None:
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
            f"Expected weights for every layer of the {type(model).__name__} that the configuration of "
            f"{checkpoint.source!r} describes, but {'; '.join(wrong[:_SHOWN])}{more}. Save the model again with "
            "save_pretrained, or mend its config.json."
        )
