"""All inputs of an audit as files: which predictions, which forget set, and all settings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.models import Models
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions.names import Names
from unlearn_audit.remote.sources import placed


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's predictions are (J files for J seeds of a method), and what is known of it."""

    predictions: tuple[str, ...]
    method: str | None = None
    seed: int | None = None
    seconds: float | None = None
    examples: int | None = None

    def with_paths(self, function: Callable[[int, str], str]) -> ModelFiles:
        """Return the same with `function(place, path)` in the place of each path."""
        paths = tuple(function(place, path) for place, path in enumerate(self.predictions))
        return dataclasses.replace(self, predictions=paths)


@dataclass(frozen=True, kw_only=True)
class AuditRequest(Models[ModelFiles]):
    """All inputs of an audit: paths, and settings. Predictions may lie elsewhere, at `hf://…` or `s3://…`.

    Attributes:
        candidates: files of the unlearned models by name.
        references: files of the retrained models by name.
        original: the original model's file, or several that differ in their seed.
        untrained: an untrained model's file.
        forget: a file of the forget set's example ids, or a saved forget set.
        embeddings: a Parquet file with `example_id` and `embedding`, if not the original's own.
        columns: a Parquet file with `example_id` and the column that strata are made of, if they are.
        proximities: a Parquet file with `example_id` and the column `proximity`, instead of embeddings.
        names: of columns, splits and classes in these files, where they are not ours.
        neighbourhood: how to cut strata.
        policy: what the verdict rests on.
        measures: names; empty means all.
        class_names: of the classes, if known.
        title: of the report.
        configuration: what else to record.
    """

    # Named again with their type: pydantic reads a manifest by these, and does not look into `Models[ModelFiles]`.
    candidates: Mapping[str, ModelFiles]
    references: Mapping[str, ModelFiles]
    original: ModelFiles | None = None
    untrained: ModelFiles | None = None
    forget: str
    embeddings: str | None = None
    proximities: str | None = None
    columns: str | None = None
    names: Names = field(default_factory=Names)
    neighbourhood: NeighbourhoodConfig = field(default_factory=NeighbourhoodConfig)
    policy: Policy = field(default_factory=Policy)
    measures: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    title: str = "Unlearning audit"
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """Return every input file by what it is for."""
        found = {"forget": self.forget}
        found |= {"embeddings": self.embeddings} if self.embeddings else {}
        found |= {"proximities": self.proximities} if self.proximities else {}
        found |= {"columns": self.columns} if self.columns else {}
        for name, _, model in self.items():
            for position, path in enumerate(model.predictions):
                found[f"predictions of {name}" + (f" ({position})" if position else "")] = path
        return found

    def seen_from(self, folder: Path, base: Path) -> AuditRequest:
        """Return the request with paths from `folder` instead of `base`, so that both can move together."""

        def seen(path: str) -> str:
            place = placed(base, path)
            return place if isinstance(place, str) else Path(os.path.relpath(place, folder)).as_posix()

        return self.with_files(seen)

    def with_files(self, function: Callable[[str], str]) -> AuditRequest:
        """Return the request with `function(path)` in the place of the path of each input file."""
        paths = {name: getattr(self, name) for name in ("forget", "embeddings", "proximities", "columns")}
        moved: dict[str, Any] = {name: function(path) for name, path in paths.items() if path is not None}
        return dataclasses.replace(
            self.with_each(lambda _, files: files.with_paths(lambda _, path: function(path))), **moved
        )
