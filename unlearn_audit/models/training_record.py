"""How a model was trained, kept with it: beside its weights, and in the metadata of its predictions.

An audit compares these records, and says where the original and the retrained models were not trained in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from unlearn_audit.files import read_json, write_text

TRAINING = "training.json"  # in a model's folder
_ATTRIBUTE = "_unlearn_audit_training"  # where a model carries its own


def record_training(model: nn.Module, settings: Mapping[str, Any] | None) -> None:
    """Let `model` carry how it was trained, as JSON; None where that is not known, or not true any more."""
    if settings is None:
        model.__dict__.pop(_ATTRIBUTE, None)
    else:
        model.__dict__[_ATTRIBUTE] = json.dumps(settings, sort_keys=True)


def training_record(model: nn.Module) -> str | None:
    """Return how `model` was trained, as JSON; None where that is not known."""
    return model.__dict__.get(_ATTRIBUTE)


def hand_on_training(source: nn.Module, target: nn.Module) -> None:
    """Let `target`, which `source` was turned into, carry what that one does."""
    text = training_record(source)
    record_training(target, None if text is None else json.loads(text))


def write_training(model: nn.Module, folder: str | Path) -> None:
    """Write what `model` carries into its folder; where nothing is known, no file."""
    text = training_record(model)
    if text is not None:
        write_text(Path(folder) / TRAINING, text + "\n")


def read_training(model: nn.Module, folder: str | Path) -> None:
    """Let `model` carry what its folder says; a file that says nothing readable says nothing."""
    try:
        found = read_json(Path(folder) / TRAINING)
    except (OSError, ValueError):
        return
    if isinstance(found, dict):
        record_training(model, found)
