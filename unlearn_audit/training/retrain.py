"""`retrain()`: K retrained models from Trainers that you build yourself."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from transformers import Trainer, set_seed

from unlearn_audit.errors import ConfigurationError, DataError
from unlearn_audit.files import read_json, set_aside, write_text
from unlearn_audit.folders import claim_folder
from unlearn_audit.models.adapting import merge
from unlearn_audit.processes import process_state
from unlearn_audit.training.checkpoints import CheckpointHashes, last_checkpoint

_RECORD, _CHECKPOINTS = "retrained.json", "checkpoints"
_ID_COLUMNS = ("example_id", "id", "file_name", "image_id")


@dataclass(frozen=True)
class RetrainedModel:
    """A retrained model: the folder that it is saved in, its seed, and what it took.

    Attributes:
        folder: of the model, as `load_model` takes it.
        seed: of its training.
        seconds: wall time, over all interrupted parts.
        forget: SHA-256 over the ids that it never saw.
    """

    folder: Path
    seed: int
    seconds: float
    forget: str


def retrain(
    trainer_factory: Callable[[Any, int], Trainer],
    forget: Collection[str] | Any,
    k: int = 4,
    *,
    output_dir: str | Path,
    first_seed: int = 1,
) -> list[RetrainedModel]:
    """Train K models without the forget set, each in a `Trainer` that you build: your collator, transforms, callbacks.

    A second call with the same forget set trains only what is missing, from the last checkpoint where there is one.
    Checkpoints lie in a folder of each model, whatever `output_dir` the Trainer's arguments name.

    Args:
        trainer_factory: called as `trainer_factory(forget, seed)`; returns a Trainer whose `train_dataset` leaves the
            forget set out and whose arguments have this seed. Give it `processing_class=processor`, and the image
            processor is saved with the model.
        forget: a `ForgetSet`, or ids; handed to the factory as it is.
        k: how many models.
        output_dir: new, empty, or of an earlier call; holds a folder for each model.
        first_seed: of the first model; the others count from it.

    Raises:
        ConfigurationError: where a Trainer has another seed, or the folder holds something else.
        DataError: where a Trainer's data set still holds a forgotten example, by one of the columns that hold ids.
    """
    root, ids = claim_folder(output_dir, "retrained models"), frozenset(getattr(forget, "ids", forget))
    return [
        _one(trainer_factory, forget, ids, seed, root / f"retrained-{seed}")
        for seed in range(first_seed, first_seed + k)
    ]


def _one(
    factory: Callable[[Any, int], Trainer], forget: Any, ids: frozenset[str], seed: int, folder: Path
) -> RetrainedModel:
    digest = sha256("\n".join(sorted(ids)).encode()).hexdigest()
    record = folder / _RECORD
    before = _read(record)
    if before and (before["forget"] != digest or before["seed"] != seed):
        raise ConfigurationError(
            f"{folder} holds a model that was retrained without another forget set. Give another output_dir."
        )
    if before.get("done"):
        return RetrainedModel(folder, seed, before["seconds"], digest)
    set_seed(seed)
    trainer = factory(forget, seed)
    _check(trainer, ids, seed)
    trainer.args.output_dir = str(folder / _CHECKPOINTS)
    trainer.add_callback(CheckpointHashes())
    folder.mkdir(parents=True, exist_ok=True)
    start, model = time.perf_counter() - before.get("seconds", 0.0), RetrainedModel(folder, seed, 0.0, digest)
    try:
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / _CHECKPOINTS))
    finally:
        model = RetrainedModel(folder, seed, time.perf_counter() - start, digest)
        _write(record, model, done=False)
    _save(trainer, folder)
    _write(record, model, done=True)
    return model


def _read(record: Path) -> dict[str, Any]:
    """Return what a record says; one that is damaged is set aside, and the model made again."""
    try:
        found = read_json(record)
        float(found["seconds"]), found["forget"], found["seed"], found["done"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError):
        kept = set_aside(record)
        warnings.warn(f"{record} is damaged, so this model is made again. It is kept as {kept.name}.", stacklevel=4)
        return {}
    return dict(found)


def _write(record: Path, model: RetrainedModel, *, done: bool) -> None:
    if process_state().is_main_process:
        content = {name: value for name, value in asdict(model).items() if name != "folder"}
        write_text(record, json.dumps({**content, "done": done}) + "\n")


def _save(trainer: Trainer, folder: Path) -> None:
    if not process_state().is_main_process:
        return
    model: Any = merge(trainer.accelerator.unwrap_model(trainer.model))
    model.save_pretrained(folder)
    if trainer.processing_class is not None:
        trainer.processing_class.save_pretrained(folder)


def _check(trainer: Trainer, ids: frozenset[str], seed: int) -> None:
    if trainer.args.seed != seed:
        raise ConfigurationError(
            f"Expected a Trainer whose arguments have seed={seed}, which the factory is called with, got seed="
            f"{trainer.args.seed}. Models of one seed are copies, and no noise floor."
        )
    data: Any = trainer.train_dataset
    for column in set(getattr(data, "column_names", None) or ()) & set(_ID_COLUMNS):
        kept = ids & {str(value) for value in data.with_format(None)[column]}
        if kept:
            raise DataError(
                f"Expected a train_dataset without the forget set, but its column {column!r} still holds {len(kept)} "
                f"of {len(ids)} forgotten examples, the first being {min(kept)!r}. Filter them out in the factory."
            )
