"""Loads an adapter that PEFT saved, with the model that it was made for, and merges it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from unlearn_audit.errors import ModelError
from unlearn_audit.models.checkpoints import UNREADABLE, load_config, load_weights
from unlearn_audit.models.naming import Checkpoint

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def is_adapter(checkpoint: Checkpoint) -> bool:
    """Whether it is the folder of an adapter without the model that it belongs to."""
    return (Path(checkpoint.source) / checkpoint.subfolder / _CONFIG).is_file()


def load_adapter(checkpoint: Checkpoint) -> tuple[Any, Checkpoint]:
    """Return the whole model of an adapter's folder, merged, and where its image processor is: there, or its base's.

    Raises:
        ModelError: where PEFT is not installed, the base model cannot be loaded, or the two do not fit.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError(
            f"Expected PEFT for the adapter in {checkpoint.source!r}, which is not installed: "
            "pip install 'unlearn-audit[lora]'."
        ) from error
    folder = Path(checkpoint.source) / checkpoint.subfolder
    try:
        base = Checkpoint.of(json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"])
        config = _config(folder, base)
        model, _ = load_weights(base, config)
        adapted: Any = PeftModel.from_pretrained(model, str(folder))
        merged = adapted.merge_and_unload()
    except UNREADABLE as error:
        raise ModelError(
            f"The adapter in {checkpoint.source!r} cannot be loaded: {error}. Save the merged model: "
            "model.merge_and_unload().save_pretrained(folder)."
        ) from error
    return merged, checkpoint if (folder / "preprocessor_config.json").is_file() else base


def _config(folder: Path, base: Checkpoint) -> Any:
    """Return the configuration of the whole model: the adapter's own, or its base's with as many classes as it has."""
    if (folder / "config.json").is_file():
        return load_config(Checkpoint(str(folder)))
    config = load_config(base)
    saved = json.loads((folder / _CONFIG).read_text(encoding="utf-8")).get("modules_to_save") or []
    with safe_open(folder / _WEIGHTS, framework="pt") as weights:
        heads = [name for name in weights.keys() if any(f"{module}.weight" in name for module in saved)]  # noqa: SIM118
        if heads:
            config.num_labels = weights.get_slice(heads[-1]).get_shape()[0]
    return config
