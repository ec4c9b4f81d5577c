"""Checkpoints, in a folder of their own for each set of inputs, so that no run goes on from another one's."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback

from unlearn_audit.data.batches import ExampleDataset
from unlearn_audit.files import read_json, set_aside, sha256, versions, write_text
from unlearn_audit.models.loading import weights_hash
from unlearn_audit.processes import process_state
from unlearn_audit.training.config import TrainingConfig

INPUTS = "inputs.json"
HASHES = "unlearn_audit_hashes.json"  # in a checkpoint: the SHA-256 of its files
_PACKAGES = ("unlearn-audit", "torch", "transformers", "accelerate")  # whose versions can change what comes out
_ELSEWHERE = ("_name_or_path", "transformers_version")  # of a model's configuration: they say where, not what


def training_inputs(
    model: nn.Module, dataset: ExampleDataset, config: TrainingConfig, seed: int, method: object = None
) -> dict[str, Any]:
    """Return all that decides what a training makes of `model` as it is now, as JSON.

    Args:
        model: with the weights that training starts from.
        dataset: the examples that it is trained on.
        config: how to train.
        seed: of the run.
        method: the unlearning method, a dataclass, if there is one.
    """
    return {
        "model": _of_model(model),
        "examples": _of_examples(dataset),
        "config": config.decisive(),
        "bfloat16": config.uses_bfloat16,
        "seed": seed,
        "method": None if method is None else {"class": _class_name(method), **_decisive(method)},
        "processes": process_state().num_processes,
        "versions": versions(_PACKAGES),
    }


def run_folder(folder: str | Path, inputs: Mapping[str, Any]) -> Path:
    """Make the folder in `folder` of the run with these inputs, with a file that says them, and return its path."""
    text = json.dumps(inputs, sort_keys=True, indent=1, default=repr)
    found = Path(folder) / f"run-{_sha256(text)[:16]}"
    for path in (found.parent, found, found / INPUTS):
        if path.exists() and path.is_dir() is (path.name == INPUTS):
            _set_aside(path, "it is no folder" if path.is_file() else "it is no file")
    found.mkdir(parents=True, exist_ok=True)
    if process_state().is_main_process:
        write_text(found / INPUTS, text + "\n")
    return found


class CheckpointHashes(TrainerCallback):
    """Writes the hashes of a checkpoint's files into it, by which `last_checkpoint` tells whether it is damaged."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Hash what all processes wrote."""
        process_state().wait_for_everyone()
        if process_state().is_main_process:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in _files(folder)}
            write_text(folder / HASHES, json.dumps(hashes, indent=1) + "\n")


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest whole checkpoint of a run, or None; what is damaged is named in a warning and set aside.

    Trainer writes `trainer_state.json` last, and `CheckpointHashes` the hashes after it. A checkpoint without them was
    cut off between the two, and is whole.
    """
    found = []
    for checkpoint in sorted(folder.glob("checkpoint-*")):
        damage = _damage(checkpoint)
        if damage:
            _set_aside(checkpoint, damage)
        elif _is_json(checkpoint / "trainer_state.json"):
            found.append((int(checkpoint.name.split("-")[-1]), checkpoint))
    return str(max(found)[1]) if found else None


def _damage(checkpoint: Path) -> str:
    """Say what of a checkpoint is not as it was written; nothing of one that was cut off while it was written."""
    if not checkpoint.is_dir():
        return "it is no folder"
    try:
        hashes = read_json(checkpoint / HASHES)
        changed = [name for name, digest in hashes.items() if _hash(checkpoint / name) != digest]
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError, TypeError):
        return f"{HASHES} cannot be read"
    return f"{changed[0]} is not as it was written" if changed else ""


def _set_aside(path: Path, damage: str) -> None:
    kept = set_aside(path, "damaged-{number}-{name}")  # Trainer takes checkpoint-5.damaged for a checkpoint
    warnings.warn(f"{path}: {damage}, so training does not go on from it. It is kept as {kept.name}.", stacklevel=3)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hash(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def _of_model(model: Any) -> dict[str, Any]:
    configuration = {name: value for name, value in model.config.to_dict().items() if name not in _ELSEWHERE}
    trained = sorted(name for name, parameter in model.named_parameters() if parameter.requires_grad)
    return {
        "configuration": _sha256(json.dumps(configuration, sort_keys=True, default=repr)),
        "trained": _sha256("\n".join(trained)),
        "weights": weights_hash(model),
    }


def _of_examples(dataset: ExampleDataset) -> dict[str, Any]:
    return {
        "data": dataset.images.fingerprint,
        "ids": _sha256("\n".join(dataset.images.ids.tolist())),
        "rows": _of_tensor(dataset.rows),
        "forget": None if dataset.is_forget is None else _of_tensor(dataset.is_forget),
        "augmentation": repr(dataset.augmentation),
        "preprocessing": repr(dataset.preprocess),
        "seed": dataset.seed,
    }


def _decisive(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass but for those that change no result."""
    kept = (each.name for each in dataclasses.fields(value) if not each.metadata.get("incidental"))
    return {name: getattr(value, name) for name in kept}


def _class_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _of_tensor(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.cpu().contiguous().numpy().tobytes()).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_json(path: Path) -> bool:
    try:
        read_json(path)
    except (OSError, ValueError):
        return False
    return True
