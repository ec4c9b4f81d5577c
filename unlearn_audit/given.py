"""What people hand to `unlearn_audit.audit`: arrays, predictions or paths become the models and files of an audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np

from unlearn_audit.auditing.models import AuditedModel, Models
from unlearn_audit.auditing.neighbours import NeighbourSource, write_column
from unlearn_audit.errors import AuditError, ConfigurationError, PredictionsError
from unlearn_audit.predictions import Predictions, PredictionsFile, PredictionSource, open_predictions
from unlearn_audit.predictions.frames import is_table
from unlearn_audit.predictions.names import Names
from unlearn_audit.proximities import Embeddings
from unlearn_audit.remote.sources import placed
from unlearn_audit.saved.forgotten import Forgotten

Given = Any  # Predictions, PredictionsFile, an array of logits (n, c), or a path


@runtime_checkable
class SetOfIds(Protocol):
    """A forget set that knows what it is, as `unlearn_audit.ForgetSet` does."""

    ids: tuple[str, ...]
    description: str

    @property
    def hash(self) -> str:
        """Hexadecimal, over ids and data."""


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """What the n rows of all arrays are: ids, splits and labels, each (n,)."""

    example_ids: np.ndarray
    splits: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, labels: Any, example_ids: Any, splits: Any) -> ArrayRows | None:
        """Take what is given: without ids the rows are numbered, without splits all are training examples."""
        if labels is None:
            if example_ids is not None or splits is not None:
                raise PredictionsError("Expected `labels` (n,) together with `example_ids` or `splits`, got none.")
            return None
        labels = np.asarray(labels)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise PredictionsError(
                f"Expected `labels` as whole numbers (n,), got {labels.dtype} of shape {labels.shape}."
            )
        ids = np.arange(len(labels)) if example_ids is None else np.asarray(example_ids)
        splits = np.full(len(labels), "train") if splits is None else np.asarray(splits)
        return cls(ids.astype(str), splits.astype(str), labels.astype(np.int64))


@dataclass(frozen=True, eq=False)
class GivenModel:
    """A model's predictions, J of them for J seeds, and for each the file that it came from, if it did."""

    sources: tuple[PredictionSource, ...]
    paths: tuple[Path | str | None, ...]  # texts are where files elsewhere lie

    @classmethod
    def of(cls, name: str, given: Given | Sequence[Given], rows: ArrayRows | None, names: Names) -> GivenModel:
        """Take one model, or a list of several seeds of it."""
        seeds = list(given) if isinstance(given, list | tuple) else [given]
        sources = tuple(_source(name, item, rows, names) for item in seeds)
        paths = (_path(s if isinstance(s, PredictionsFile) else item) for s, item in zip(sources, seeds, strict=True))
        return cls(sources, tuple(paths))

    def audited(self) -> AuditedModel:
        """Return it as audits take it."""
        return AuditedModel(self.sources)


def given_models(
    candidates: Given, references: Given, original: Given, untrained: Given, rows: ArrayRows | None, names: Names
) -> Models[GivenModel]:
    """Return all models by name and role; those that are not named take their file's name, or role and number."""
    alone = {"original": original, "untrained": untrained}
    found = {name: None if item is None else GivenModel.of(name, item, rows, names) for name, item in alone.items()}
    return Models(_named("candidate", candidates, rows, names), _named("retrained", references, rows, names), **found)


def _named(role: str, given: Given, rows: ArrayRows | None, names: Names) -> dict[str, GivenModel]:
    if isinstance(given, Mapping):
        return {str(name): GivenModel.of(str(name), item, rows, names) for name, item in given.items()}
    several = list(given) if isinstance(given, list | tuple) else [given]
    found: dict[str, GivenModel] = {}
    for place, item in enumerate(several, start=1):
        path = _path(item)
        name = PurePath(path).stem if path else role if len(several) == 1 else f"{role}-{place}"
        if name in found:
            raise ConfigurationError(f"Expected each model under its own name, got {name!r} twice. Give a mapping.")
        found[name] = GivenModel.of(name, item, rows, names)
    return found


def _path(given: Given) -> Path | str | None:
    if isinstance(given, PredictionsFile):
        return given.path
    return placed("", str(given)) if isinstance(given, str | Path) else None


def _source(name: str, given: Given, rows: ArrayRows | None, names: Names) -> PredictionSource:
    if isinstance(given, str | Path):
        return open_predictions(given, names)
    if isinstance(given, PredictionsFile):
        return given
    if isinstance(given, Predictions):
        return _as_it_will_be_read(name, given)
    if is_table(given):
        return _as_it_will_be_read(name, Predictions.of_table(given, name=name, names=names))
    if not hasattr(given, "__array__"):
        raise PredictionsError(
            f"{name}: expected Predictions, a table, an array of logits (n, c) or a path, got {type(given).__name__}."
        )
    if rows is None:
        raise PredictionsError(f"{name}: arrays of logits need `labels` (n,), got none.")
    logits = np.asarray(given)
    if logits.ndim != 2:
        raise PredictionsError(f"{name}: expected logits of shape (n, c), got {logits.shape}.")
    return _as_it_will_be_read(name, Predictions(rows.example_ids, rows.splits, rows.labels, logits, name=name))


def _as_it_will_be_read(name: str, predictions: Predictions) -> Predictions:
    """Return predictions as they are once saved and read again, so that `verify` finds the same figures."""
    embeddings = predictions.embeddings
    return dataclasses.replace(
        predictions,
        logits=_single(predictions.logits),
        embeddings=None if embeddings is None else np.asarray(embeddings, np.float32),
        metadata={"model_id": name, **predictions.metadata},
    )


def _single(values: np.ndarray) -> np.ndarray:
    return values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)


def given_forget(forget: Any, rows: ArrayRows | None) -> Forgotten:
    """Return the forget set, which may be a `ForgetSet`, a path, ids, or a boolean mask over the rows of arrays."""
    if isinstance(forget, str | Path):
        return Forgotten.read(Path(forget))
    if isinstance(forget, SetOfIds):
        return Forgotten(tuple(forget.ids), forget.description, forget.hash)
    if not isinstance(forget, Iterable):
        raise AuditError(f"Expected ids of the forget set, a mask, a ForgetSet or a path, got {forget!r:.40}.")
    listed = forget if hasattr(forget, "__array__") else list(forget)
    values = np.asarray(listed)
    if values.dtype != bool:
        return Forgotten.of(values.tolist())
    if rows is None:
        raise AuditError("Expected ids of the forget set: a mask goes with arrays, whose rows `labels` stand for.")
    if values.shape != rows.labels.shape:
        raise AuditError(f"Expected a mask of {len(rows.labels)} rows, got the shape {values.shape}.")
    return Forgotten.of(rows.example_ids[values].tolist())


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenValues(NeighbourSource):
    """Embeddings, proximities or a column in memory, with the ids of their rows."""

    example_ids: np.ndarray
    values: np.ndarray

    def column(self, name: str, wanted: np.ndarray) -> np.ndarray | None:
        """Return the values, a row for each of the ids, if they are what `name` asks for."""
        if name != self.holds:
            return None
        place = {example: row for row, example in enumerate(self.example_ids.tolist())}
        missing = [example for example in wanted.tolist() if example not in place]
        if missing:
            raise AuditError(f"{self.path}: {len(missing)} examples are missing, the first being {missing[0]!r}.")
        return self.values[[place[example] for example in wanted.tolist()]]

    def embeddings(self, wanted: np.ndarray) -> Embeddings:
        """Return them as a reader."""
        return Embeddings.of(self.needed("embedding", wanted))

    def save(self, path: Path) -> None:
        """Write a Parquet file with `example_id` and the values."""
        write_column(path, self.example_ids, self.holds, self.values)


def given_embeddings(given: Any, rows: ArrayRows | None, names: Names | None = None) -> NeighbourSource | None:
    """Return embeddings as a source: of a file, or of an array (n, d) whose rows are those of all arrays."""
    return _values("embedding", given, rows, np.float32, names or Names())


def given_proximities(given: Any, rows: ArrayRows | None, names: Names | None = None) -> NeighbourSource | None:
    """Return proximities as a source: of a file, or of an array (n,) whose rows are those of all arrays."""
    return _values("proximity", given, rows, np.float64, names or Names())


def given_columns(
    given: Any, rows: ArrayRows | None, column: str | None, names: Names | None = None
) -> NeighbourSource | None:
    """Return the column that strata are made of as a source: of a file, or of values (n,) of the rows of all arrays."""
    if given is None or isinstance(given, str | Path):
        return None if given is None else NeighbourSource(Path(given), names=names or Names())
    values = np.asarray(given)
    if rows is None or column is None or values.shape != rows.labels.shape:
        raise AuditError(
            "Expected a file, or values (n,) together with `labels` (n,) and `NeighbourhoodConfig(strata='column', "
            f"column=NAME)`, got values of shape {values.shape}."
        )
    return GivenValues(Path("columns"), column, example_ids=rows.example_ids, values=values)


def _values(
    column: str, given: Any, rows: ArrayRows | None, kind: type[np.floating[Any]], names: Names
) -> NeighbourSource | None:
    """Return embeddings or proximities as a source: a file, or an array whose rows are those of all arrays."""
    if given is None:
        return None
    if isinstance(given, str | Path):
        return NeighbourSource(Path(given), column, names)
    what = "embeddings" if column == "embedding" else "proximities"
    if rows is None:
        raise AuditError(f"Expected `labels` (n,), and `example_ids` unless rows are numbered, with the array {what}.")
    values = np.asarray(given, kind)
    dimensions = 2 if column == "embedding" else 1
    if values.ndim != dimensions or len(values) != len(rows.labels):
        shape = f"({len(rows.labels)}, d)" if dimensions == 2 else f"({len(rows.labels)},)"
        raise AuditError(f"Expected {what} of shape {shape}, got {values.shape}.")
    return GivenValues(Path(what), column, example_ids=rows.example_ids, values=values)
