"""What can be wrong with a study although each of its values is right: found before the first stage, all at once.

The forget set may not fit the data, the architecture may not take its arguments, and this machine may be too small. The
model is made without memory for its weights, on PyTorch's `meta` device, so that this takes a fraction of a second.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from unlearn_audit.data import ForgetSet, ImageData
from unlearn_audit.errors import ConfigurationError, ModelError, UnlearnAuditError, did_you_mean
from unlearn_audit.experiment.config import ModelConfig, StudyConfig
from unlearn_audit.experiment.planned_models import PlannedModel
from unlearn_audit.experiment.yaml_source import Key, Source, dotted
from unlearn_audit.models.checkpoints import load_config
from unlearn_audit.models.naming import checkpoint_named
from unlearn_audit.models.preprocessing import Preprocessing

_NUMBER = 4  # bytes of a float32
_PROCESS = 1 << 30  # bytes of a process with PyTorch and all else imported
_COPIES = 4  # of the weights while a model is trained: themselves, gradients, momentum, the original
Problem = tuple[Key, str]


def checked(config: StudyConfig, data: ImageData, folder: Path, places: Mapping[Key, str]) -> ForgetSet:
    """Return the forget set of a study that fits its data, its architecture and this machine.

    Args:
        config: whose values are right each by itself.
        data: that it names.
        folder: of the study; it need not exist.
        places: where each key was written, for the errors.

    Raises:
        ConfigurationError: with one line for each thing that does not fit, and the key that says it.
    """
    problems: list[Problem] = []

    def tried(key: Key, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except UnlearnAuditError as error:
            problems.append((key, str(error)))

    forget = tried(("forget",), lambda: config.forget.choose(data.train))
    weights = tried(("model",), lambda: _number_of_weights(config.model, data))
    problems += _too_many(config, len(data.train), None if forget is None else len(forget.ids))
    problems += _no_strata(config, data)
    problems += _too_large(config, data, weights or 0, folder)
    if problems:
        source = Source({}, {(): "the configuration", **places})
        raise ConfigurationError("\n".join(_line(source, key, message) for key, message in problems))
    return forget


def _line(source: Source, key: Key, message: str) -> str:
    return f"{source.places[source.written(key)]}: {dotted(key)}: {message}"


def _number_of_weights(config: ModelConfig | None, data: ImageData) -> int:
    """Return how many weights a model of the study has; of a checkpoint only the configuration is read."""
    model = _without_memory(config, data)
    sizes = [] if model is None else [weight.numel() for weight in model.parameters()]
    if config is not None and not all(sizes):
        raise ModelError(f"expected arguments that give every layer weights, got {dict(config.arguments)}.")
    return sum(sizes)


def _without_memory(config: ModelConfig | None, data: ImageData) -> nn.Module | None:
    """Return a model of the study on the `meta` device; None of a checkpoint."""
    if config is None:
        return None
    checkpoint = checkpoint_named(config.name, pretrained=config.pretrained)
    if checkpoint is not None:
        load_config(checkpoint)
        return None
    planned = PlannedModel.of(config)
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers without weights, which are refused
            return planned.create(data.train, 0)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the model {planned.name!r} cannot be built: {error}") from error


def least_memory(config: StudyConfig, data: ImageData) -> int:
    """Return an estimate of the bytes that a process takes at least while it trains a model of the study.

    The imports, the weights with what is kept beside them, the predictions, and what the layers hand on in a batch; of
    a checkpoint, whose weights are not looked at, only the imports and the predictions.
    """
    model = _without_memory(config.model, data)
    predictions = (len(data.train) + len(data.test)) * data.train.num_classes
    if model is None:
        return _PROCESS + _NUMBER * predictions
    weights = sum(weight.numel() for weight in model.parameters())
    handed_on = _handed_on(model) * config.training.batch_size
    return _PROCESS + _NUMBER * (predictions + _COPIES * weights + handed_on)


def _handed_on(model: nn.Module) -> int:
    """Return how many numbers the layers of a model on the `meta` device hand on for one image; 0 where it refuses."""
    found = [0]

    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        found[0] += output.numel() if isinstance(output, torch.Tensor) else 0

    for layer in model.modules():
        if not any(layer.children()):
            layer.register_forward_hook(count)
    prepared = Preprocessing.of(model)
    with contextlib.suppress(RuntimeError, ValueError, TypeError, NotImplementedError), torch.no_grad():
        model.eval()(pixel_values=torch.empty(1, prepared.channels, *prepared.size, device="meta"))
    return found[0]


def _too_many(config: StudyConfig, examples: int, forget: int | None) -> Iterator[Problem]:
    retained = examples - (forget or 0)
    bounds: dict[Key, tuple[int, str, int]] = {
        ("neighbourhood", "number"): (config.neighbourhood.number, "retained examples", retained),
        ("neighbourhood", "k"): (config.neighbourhood.k, "training examples", examples),
    }
    for name, method in config.methods.items():
        bounds[("methods", name, "n_support")] = (method.options.get("n_support", 0), "retained examples", retained)
    for key, (number, of_what, most) in bounds.items():
        if number > most:
            yield key, f"expected at most the {most} {of_what}, got {number}."


def _no_strata(config: StudyConfig, data: ImageData) -> Iterator[Problem]:
    column = config.neighbourhood.make_strata().column_needed()
    if column is None:
        return
    for part in (data.train, data.test):
        if column not in part.columns:
            message = f"the {part.split} images have no column {column!r} to make strata of."
            yield ("neighbourhood", "column"), message + did_you_mean(column, part.columns)
    if any(method.search for method in config.methods.values()):
        message = "a search asks which examples are near, and strata of a column do not tell. Choose another kind."
        yield ("neighbourhood", "strata"), message


def _too_large(config: StudyConfig, data: ImageData, weights: int, folder: Path) -> Iterator[Problem]:
    """Compare least estimates of memory and disk with what this machine has."""
    examples = len(data.train) + len(data.test)
    predictions = examples * data.train.num_classes * _NUMBER
    references = config.references if isinstance(config.references, int) else len(config.references)
    models = 2 + references + config.candidates * len(config.methods)
    memory = _COPIES * weights * _NUMBER + predictions
    disk = models * (weights * _NUMBER + predictions)
    free = shutil.disk_usage(next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()))
    if memory > psutil.virtual_memory().total:
        yield ("model",), f"{weights:,} weights take {_size(memory)} to train, and this machine has less memory."
    if disk > free.free:
        message = f"{models} models and their predictions take {_size(disk)}, and {_size(free.free)} are free there."
        yield ("references",), message


def _size(number: float) -> str:
    return f"{number / 2**30:,.1f} GiB" if number >= 2**30 else f"{number / 2**20:,.1f} MiB"
