"""Retraining by a command of one's own: what it is called with, and what it left."""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from unlearn_audit.errors import ConfigurationError, ModelError
from unlearn_audit.experiment.stages.base import INCIDENTAL
from unlearn_audit.files import sha256
from unlearn_audit.models.checkpoints import is_model_folder

PLACES = MappingProxyType(
    {
        "forget": "a text file of the examples to leave out, one a line: file names where the images lie in a folder, "
        "else ids",
        "retain": "the same of all other training examples",
        "seed": "of this retraining",
        "folder": "where to write the model, or predictions.parquet (.csv, .npz, .jsonl)",
    }
)
_PREDICTIONS = ("predictions.parquet", "predictions.csv", "predictions.npz", "predictions.jsonl")
_CHECKPOINT = "checkpoint-"


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """How to retrain without the forget set, by a command of your own.

    Attributes:
        command: as in a shell, though no shell runs it, from the folder that `unlearn-audit run` was called in. In it
            stand `{folder}`, `{seed}`, and `{forget}` or `{retain}`; write `{{` for a brace.
    """

    command: str

    def __post_init__(self) -> None:
        try:
            found = {name for _, name, _, _ in string.Formatter().parse(self.command) if name is not None}
            self.arguments({name: name for name in found})
        except (ValueError, IndexError) as error:
            raise ConfigurationError(f"Expected a command as in a shell, got {self.command!r}: {error}.") from error
        known = ", ".join(f"{{{name}}}" for name in PLACES)
        if found - PLACES.keys():
            raise ConfigurationError(
                f"Expected only {known} in the command, got {{{min(found - PLACES.keys())}}}. Write {{{{ for a brace."
            )
        if not ({"folder", "seed"} <= found and found & {"forget", "retain"}):
            raise ConfigurationError(
                "Expected {folder}, {seed}, and {forget} or {retain} in the command, or it could not tell one "
                f"retraining from another, got {self.command!r}."
            )

    def arguments(self, values: Mapping[str, object]) -> list[str]:
        """Return the program and its arguments, with `values` in their places."""
        return [part.format_map(values) for part in shlex.split(self.command)]


@dataclass(frozen=True)
class PlannedCommand:
    """A command, with the content of the files that it names: a script that was changed makes other models.

    Attributes:
        folder: that it runs in.
    """

    config: RetrainConfig
    files: Mapping[str, str]
    folder: str = field(metadata=INCIDENTAL)

    @classmethod
    def plan(cls, config: RetrainConfig) -> PlannedCommand:
        """Look at what the command names, from the folder that this process works in."""
        parts = shlex.split(config.command)
        files = {part: sha256(part) for part in parts if "{" not in part and Path(part).is_file()}
        return cls(config, files, str(Path.cwd()))


def made_by_command(folder: Path) -> Path:
    """Return what a command left in its folder: predictions, a model, or else Trainer's last checkpoint.

    Raises:
        ModelError: where there is nothing of the kind.
    """
    for name in _PREDICTIONS:
        if (folder / name).is_file():
            return folder / name
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    last = sorted(
        (path for path in below if path.name.startswith(_CHECKPOINT) and path.name[len(_CHECKPOINT) :].isdigit()),
        key=lambda path: -int(path.name[len(_CHECKPOINT) :]),
    )
    for path in (folder, *(path for path in below if path not in last), *last):
        if is_model_folder(path):
            return path
    names = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
    raise ModelError(
        "Expected the command to leave a model (config.json and safetensors weights) or predictions "
        f"({_PREDICTIONS[0]}) in {{folder}}, found {names}. Save the model there: trainer.save_model(folder)."
    )
