"""Weights in a study's folder, hashed again and compared with those that its predictions say they are of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from unlearn_audit.errors import ModelError, UnlearnAuditError
from unlearn_audit.experiment.command import made_by_command
from unlearn_audit.experiment.stages.base import MANIFEST
from unlearn_audit.experiment.stages.models import MODEL
from unlearn_audit.experiment.stages.retrained_by_command import OUTPUT
from unlearn_audit.files import read_json
from unlearn_audit.models.loading import saved_weights_hash
from unlearn_audit.predictions import open_predictions
from unlearn_audit.remote.sources import placed
from unlearn_audit.saved.manifest import read_manifest
from unlearn_audit.saved.verify import Verification

Progress = Callable[[str, int, int], None]


def with_weights(found: Verification, folder: str | Path, progress: Progress | None = None) -> Verification:
    """Hash the weights of a report's models again, where a study keeps them beside its predictions.

    Args:
        found: what was verified before.
        folder: of the report. Of one that was published, nothing more is looked at.
        progress: called with what is done, how many models are, and how many there are.

    Returns:
        The same with the names of the models whose weights were hashed, of those whose weights are not here, and with a
        difference for each whose weights are others.
    """
    manifest = read_manifest(folder)
    if manifest.model is not None:
        return found
    files = [(name, placed(folder, path)) for name, _, model in manifest.request.items() for path in model.predictions]
    hashed: list[str] = []
    absent: list[str] = []
    differences: list[str] = []
    for place, (name, path) in enumerate(files):
        model, said = model_of(path), _said(path)
        if model is None or not said:
            absent.append(name)
            continue
        hashed.append(name)
        differences += _differences(name, model, said)
        if progress is not None:
            progress("models hashed", place + 1, len(files))
    return dataclasses.replace(
        found,
        differences=(*found.differences, *differences),
        weights=tuple(dict.fromkeys(hashed)),
        absent=tuple(dict.fromkeys(absent)),
    )


def model_of(predictions: Path | str) -> Path | None:
    """Return the folder of the model that a study's file of predictions is of; None where there is none."""
    if isinstance(predictions, str):  # elsewhere
        return None
    predictions = predictions.resolve()
    try:
        stage = predictions.parents[1] / Path(read_json(predictions.parent / MANIFEST)["needs"]["model"]).name
        made = made_by_command(stage / OUTPUT) if (stage / OUTPUT).is_dir() else stage / MODEL
    except (OSError, ValueError, LookupError, TypeError, ModelError):
        return None
    return made if made.is_dir() else None


def _said(path: Path | str) -> str:
    """Return the hash of the weights that a file of predictions names; nothing where it is not there or names none."""
    try:
        return open_predictions(path).metadata.get("weights_hash", "")
    except UnlearnAuditError:
        return ""


def _differences(name: str, model: Path, said: str) -> Iterator[str]:
    try:
        found = saved_weights_hash(model)
    except UnlearnAuditError as error:
        yield f"weights of {name}: they cannot be hashed: {error}"
        return
    if found != said:
        yield f"weights of {name}: they have the hash {found[:12]}…, and its predictions are of {said[:12]}…"
