"""Reads saved models with transformers: configuration, weights and image processor, each with its errors in words.

Network access of this package for models happens here alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from unlearn_audit.bounded import check_fits
from unlearn_audit.errors import ModelError
from unlearn_audit.files import sha256
from unlearn_audit.models.listing import check_listing
from unlearn_audit.models.naming import Checkpoint
from unlearn_audit.remote.faults import refused

# Tensors that no prediction depends on, which other versions of the libraries save or leave out.
_COUNTERS = ("num_batches_tracked", "position_ids")
_SHOWN = 3  # of the tensors that are wrong
_CONFIGS = ("config.json", "adapter_config.json")
_REFUSED = {"trust_remote_code": False}  # by default; left open, transformers would ask on a terminal
_DECISIVE = ("*.safetensors", "*config.json")  # of a model's folder
# What the libraries raise for files that are missing, torn or of another kind.
UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    TypeError,
    AttributeError,
    LookupError,
    SafetensorError,
    StrictDataclassError,
)


def is_model_folder(folder: str | Path) -> bool:
    """Whether a folder holds what `load_model` needs: a configuration, and weights as safetensors."""
    folder = Path(folder)
    return any((folder / name).is_file() for name in _CONFIGS) and any(folder.glob("*.safetensors"))


def has_processor(folder: str | Path) -> bool:
    """Whether an image processor lies in a model's folder; that of a timm model is in its configuration."""
    try:
        content = json.loads((Path(folder) / _CONFIGS[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}
    return (Path(folder) / "preprocessor_config.json").is_file() or "pretrained_cfg" in content


def pinned(checkpoint: Checkpoint) -> tuple[str, str]:
    """Return what a saved model is, by its content or commit, and where exactly it lies.

    Raises:
        ModelError: where there is none.
    """
    if checkpoint.is_folder:
        folder = Path(checkpoint.source).resolve() / checkpoint.subfolder
        return content_hash(folder), str(folder)
    try:
        path = hf_hub_download(checkpoint.source, _CONFIGS[0], **checkpoint.options)
    except UNREADABLE as error:
        raise ModelError(_expected(checkpoint, error)) from error
    parts = Path(path).parts
    commit = parts[parts.index("snapshots") + 1]
    place = "/".join(part for part in (f"hf://{checkpoint.source}@{commit}", checkpoint.subfolder) if part)
    return place.removeprefix("hf://"), place


def content_hash(folder: str | Path) -> str:
    """Return a SHA-256, in hex, over weights and configurations in a model's folder.

    Raises:
        ModelError: where it holds none.
    """
    if not is_model_folder(folder):
        raise ModelError(f"Expected a folder of a model with config.json and safetensors weights, got {str(folder)!r}.")
    paths = sorted({path for pattern in _DECISIVE for path in Path(folder).glob(pattern)})
    text = "\n".join(f"{path.name} {sha256(path)}" for path in paths)
    return hashlib.sha256(text.encode()).hexdigest()


def load_whole(checkpoint: Checkpoint, **options: Any) -> Any:
    """Return a saved model whose weights fill it, or raise `ModelError`."""
    config = load_config(checkpoint, **options)
    _check_memory(checkpoint, config, **options)
    model, loaded = load_weights(checkpoint, config, **options)
    check_weights(checkpoint, model, loaded)
    return model


def _check_memory(checkpoint: Checkpoint, config: Any, **options: Any) -> None:
    """Refuse an architecture that would not fit into memory, made without memory for its weights first."""
    try:
        with torch.device("meta"):
            empty = AutoModelForImageClassification.from_config(config, **{**_REFUSED, **options})
        check_fits(sum(values.numel() * values.element_size() for values in empty.parameters()))
    except UNREADABLE as error:
        raise ModelError(_expected(checkpoint, error)) from error


def load_config(checkpoint: Checkpoint, **options: Any) -> Any:
    """Return the configuration of a saved model, or raise `ModelError`."""
    if not checkpoint.is_folder and "/" in checkpoint.source:
        only = [f"{checkpoint.subfolder}/{name}".lstrip("/") for name in _DECISIVE]
        check_listing(checkpoint.source, revision=checkpoint.revision, only=only)
    try:
        config = AutoConfig.from_pretrained(checkpoint.source, **checkpoint.options, **{**_REFUSED, **options})
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
            **{**_REFUSED, **options},
        )
    except UNREADABLE as error:
        raise ModelError(_expected(checkpoint, error)) from error
    return model, loaded


def _expected(checkpoint: Checkpoint, error: BaseException) -> str:
    return (
        "Expected a folder or Hub id of an image classifier with safetensors weights, got "
        f"{checkpoint.source!r}: {refused(checkpoint.source, error) or error}"
    )


def processor_of(checkpoint: Checkpoint) -> Any:
    """Return the image processor beside a saved model, or raise `ModelError`."""
    try:
        return AutoImageProcessor.from_pretrained(checkpoint.source, **checkpoint.options, **_REFUSED)
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
