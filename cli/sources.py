"""Where the inputs of a command lie: here, or elsewhere, from where all but Parquet of predictions are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.names import checked_name, file_name
from unlearn_audit.predictions.opening import stays_elsewhere
from unlearn_audit.publishing.hub import pull
from unlearn_audit.remote.ranges import pinned
from unlearn_audit.remote.sources import MODEL, fetched_file, is_remote
from unlearn_audit.saved.bundle import INPUTS
from unlearn_audit.saved.verify import MODEL_FILES

from .options import load_data, model_files, quiet, split_name

if TYPE_CHECKING:
    from unlearn_audit.experiment.config import AuditConfig


@dataclass(frozen=True)
class Source:
    """Fetches inputs into a folder, a report's `output`; models predict the examples of `--data` and `--data-set`."""

    output: Path
    data: str | None = None
    data_settings: list[str] | None = None
    _taken: set[str] = field(default_factory=set, init=False)

    def named(self, items: Sequence[str]) -> list[str]:
        """Return [NAME=]FILE items with a file of this machine each; a model on the Hub is named as its repository."""
        found = []
        for item in items:
            name, source = split_name(item)
            if is_remote(source):
                name = checked_name(name or _own_name(source), "a model")
                item = f"{name}={self.of(name, source)}"
            found.append(item)
        return found

    def inputs(
        self,
        chosen: AuditConfig,
        *,
        reference: Sequence[str],
        forget: str,
        original: Sequence[str] | None,
        untrained: str | None,
        embeddings: str | None,
        proximities: str | None,
        columns: str | None,
    ) -> dict[str, Any]:
        """Return all fields of an `AuditRequest` but candidates and title, with files of this machine."""
        from unlearn_audit.saved.request import ModelFiles

        return {
            "references": model_files(self.named(reference)),
            "forget": self.forgotten(forget),
            "original": ModelFiles(tuple(self.of("original", path) for path in original)) if original else None,
            "untrained": ModelFiles((self.of("untrained", untrained),)) if untrained else None,
            "embeddings": self.maybe(embeddings),
            "proximities": self.maybe(proximities),
            "columns": self.maybe(columns),
            "names": chosen.names,
            "neighbourhood": chosen.neighbourhood,
            "policy": chosen.policy,
            "measures": chosen.measures,
        }

    def maybe(self, source: str | None) -> str | None:
        """Return a file of this machine, or None for none."""
        return self.file(source) if source else None

    def of(self, name: str, source: str) -> str:
        """Return the file of a model's predictions; Parquet elsewhere stays there, and is read by ranges."""
        if source.startswith(MODEL):
            return str(self._predicted(name, source))
        return pinned(source) if stays_elsewhere(source) else self.file(source)

    def file(self, source: str) -> str:
        """Return a file of this machine, fetched where it lies elsewhere."""
        return str(fetched_file(source, self.output / INPUTS))

    def forgotten(self, source: str) -> str:
        """Return the file of a forget set; where there are data, it may list file names of their images."""
        found = self.file(source)
        if self.data is None:
            return found
        from unlearn_audit.data import ForgetSet

        quiet()
        path = self.output / INPUTS / "forget.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        ForgetSet.from_file(load_data(self.data, self.data_settings).train, found).save(path)
        return str(path)

    def _predicted(self, name: str, source: str) -> Path:
        quiet()
        from unlearn_audit.models import load_model, predict

        folder = self.output / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / file_name(name, ".parquet", self._taken)
        self._taken.add(path.name)
        predict(load_model(model_folder(source)), load_data(self.data, self.data_settings), model_id=source).save(path)
        return path


def model_folder(source: str) -> Path:
    """Return the folder of a model: of `hub:user/name[@revision]` what is fetched, anything else as it is.

    Raises:
        HubError: where there is no such repository or revision, or the Hub cannot be reached.
    """
    return pull(source, only=MODEL_FILES) if source.startswith(MODEL) else Path(source)


def _own_name(source: str) -> str:
    return source.rpartition("/")[2].partition("@")[0].removesuffix(".parquet")
