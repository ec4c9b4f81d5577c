"""Models and predictions that were made elsewhere: what they are, by their content, and where they lie."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.stages.base import INCIDENTAL
from unlearn_audit.files import sha256
from unlearn_audit.models.checkpoints import is_model_folder, pinned
from unlearn_audit.models.naming import Checkpoint
from unlearn_audit.remote.sources import at_hand, is_remote_file, version_of

# Where Trainer and its examples leave how long a training took, in seconds.
_COSTS = ("train_results.json", "all_results.json", "trainer_state.json")


@dataclass(frozen=True, kw_only=True)
class GivenConfig:
    """A model made elsewhere, as a configuration names it: its path or id alone, or these keys.

    Attributes:
        source: a model's folder, a Hub id, `hub:USER/NAME@REVISION`, or a file of predictions, here or on the Hub, as
            `hf://datasets/USER/NAME/FILE` or `hf://buckets/USER/NAME/FILE`.
        processor: where its image processor is, if not beside it: a folder or a Hub id.
        seconds: that its training took; by default what Trainer wrote beside it, if it did.
    """

    source: str
    processor: str | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, given: str | GivenConfig) -> GivenConfig:
        """Take a path or id alone for what it means."""
        return given if isinstance(given, GivenConfig) else cls(source=given)


@dataclass(frozen=True)
class PlannedGiven:
    """A model or a file of predictions, by its content.

    Attributes:
        content: SHA-256 of files, the commit of a model on the Hub, or what the Hub calls a file's content by.
        place: where it lies, wherever a worker runs.
        is_predictions: whether it is a file of predictions, and no model.
        processor: where its image processor is, if not beside it.
        seconds: that its training took, if that is known.
    """

    content: str
    place: str = field(metadata=INCIDENTAL)
    is_predictions: bool
    processor: str | None = field(default=None, metadata=INCIDENTAL)
    seconds: float | None = None

    def copy(self, target: Path) -> None:
        """Copy predictions to `target`.

        Raises:
            ConfigurationError: where they are no longer what they were when the study was planned.
        """
        with at_hand(self.place) as file:
            found = version_of(self.place) if is_remote_file(self.place) else sha256(file)
            if found != self.content:
                raise ConfigurationError(f"{self.place} changed since the study was planned; start the run again.")
            shutil.copyfile(file, target)

    @classmethod
    def plan(cls, config: GivenConfig) -> PlannedGiven:
        """Look at what a configuration names.

        Raises:
            ConfigurationError: where it is neither a model nor a file.
            ModelError: where a model on the Hub cannot be reached.
            HubError: where a file on the Hub cannot be.
        """
        if is_remote_file(config.source):
            return cls(version_of(config.source), config.source, True, seconds=config.seconds)
        path = Path(config.source).expanduser()
        if path.is_file():
            return cls(sha256(path), str(path.resolve()), True, seconds=config.seconds)
        if path.is_dir() and not is_model_folder(path):
            raise ConfigurationError(
                f"Expected a model's folder, which holds config.json and safetensors weights, a Hub id or a file of "
                f"predictions, got {config.source!r}, which holds {_listing(path)}."
            )
        if not path.is_dir() and (config.source.startswith((".", "/", "~")) or "/" not in config.source):
            raise ConfigurationError(
                f"There is no folder or file {config.source!r}. Expected a model's folder, a file of predictions, or a "
                "Hub id, USER/NAME."
            )
        content, place = pinned(Checkpoint.of(config.source))
        processor = config.processor
        if processor is not None and Path(processor).is_dir():
            processor = str(Path(processor).resolve())
        return cls(content, place, False, processor, config.seconds or training_seconds(place))


def training_seconds(folder: str | Path) -> float | None:
    """Return how long the training of the model in a folder took, where Trainer left it there, in seconds."""
    for name in _COSTS:
        try:
            content: Any = json.loads((Path(folder) / name).read_text(encoding="utf-8"))
            for entry in (content, *reversed(content.get("log_history", []))):
                if "train_runtime" in entry:
                    return float(entry["train_runtime"])
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    return None


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing"
