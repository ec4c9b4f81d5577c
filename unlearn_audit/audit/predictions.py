"""Predictions of one model on all its examples, as a value and as Parquet: the only thing an audit needs of a model.

A file has the columns `example_id` (string or integer), `label` (integer), `logits` or `probabilities` (a list of c
numbers), and optionally `split` ("train" or "test"; without it all are "train") and `embedding` (a list of d numbers).
Rows of different files are matched by `example_id`, never by position. Any framework can write one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from unlearn_audit.errors import PredictionsError

SPLITS = ("train", "test")
_SHOWN = 3  # offending ids in a message
_TINY = np.finfo(np.float32).tiny
ROW_GROUP = 16_384
# No dictionary of logits: they hardly repeat, and looking for one takes most of the time to write.
PARQUET = {"compression": "zstd", "compression_level": 1, "use_dictionary": ["split"]}
_READ_BUFFER = 1 << 20  # bytes read ahead; without it a column's whole row group is read at once


class PredictionSource(Protocol):
    """Predictions wherever they are: in memory (`Predictions`) or in a file that is streamed (`PredictionsFile`)."""

    name: str
    example_ids: np.ndarray
    splits: np.ndarray
    labels: np.ndarray
    num_classes: int
    metadata: Mapping[str, str]

    def logit_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the logits (m, c) of all rows in order, m at most `size`."""

    def load_embeddings(self) -> np.ndarray | None:
        """Return the embeddings (n, d), or None if there are none."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """One model's predictions on n examples with c classes.

    Attributes:
        example_ids: (n,) strings, without duplicates.
        splits: (n,) "train" or "test".
        labels: (n,) int64, each in [0, c).
        logits: (n, c) float32 or float16, finite.
        embeddings: (n, d) float32, or None.
        metadata: for example `model_id`, `weights_hash`, `data_fingerprint`.

    Raises:
        PredictionsError: where these do not hold; it names the first offending ids.
    """

    example_ids: np.ndarray
    splits: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    embeddings: np.ndarray | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    name: str = "predictions"

    def __post_init__(self) -> None:
        check_index(self.name, self.example_ids, self.splits, self.labels, self.num_classes)
        check_finite(self.name, "logits", self.logits, self.example_ids)
        if self.embeddings is not None:
            check_finite(self.name, "embedding", self.embeddings, self.example_ids)

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def num_classes(self) -> int:
        """The number of classes c."""
        return self.logits.shape[1]

    def logit_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the logits (m, c) of all rows in order, m at most `size`."""
        for start in range(0, len(self), size):
            yield self.logits[start : start + size]

    def load_embeddings(self) -> np.ndarray | None:
        """Return the embeddings (n, d), or None."""
        return self.embeddings

    def save(self, path: str | Path) -> None:
        """Write a Parquet file; it appears under its name only when it is whole."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            "example_id": pa.array(self.example_ids.tolist(), pa.string()),
            "split": pa.array(self.splits.tolist(), pa.string()).dictionary_encode(),
            "label": pa.array(self.labels, pa.int64()),
            "logits": _list_array(self.logits),
        }
        if self.embeddings is not None:
            columns["embedding"] = _list_array(self.embeddings)
        table = pa.table(columns).replace_schema_metadata({f"unlearn_audit.{k}": v for k, v in self.metadata.items()})
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        pq.write_table(table, partial, row_group_size=ROW_GROUP, **PARQUET)
        partial.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read a Parquet file into memory."""
        source = PredictionsFile(path)
        logits = list(source.logit_chunks(ROW_GROUP))
        return cls(
            example_ids=source.example_ids,
            splits=source.splits,
            labels=source.labels,
            logits=np.concatenate(logits),
            embeddings=source.load_embeddings(),
            metadata=source.metadata,
            name=source.name,
        )


def _list_array(values: np.ndarray) -> Any:
    import pyarrow as pa

    kind = pa.float16() if values.dtype == np.float16 else pa.float32()
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


class PredictionsFile:
    """A Parquet file of predictions: ids, splits and labels are read at once, logits a row group at a time."""

    def __init__(self, path: str | Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = Path(path)
        self.name = self.path.name
        try:
            self._file = pq.ParquetFile(self.path, buffer_size=_READ_BUFFER)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise PredictionsError(f"Expected a Parquet file of predictions, got {str(path)!r}: {error}") from error
        self._columns = set(self._file.schema_arrow.names)
        self._need("example_id", "label")
        if not self._columns & {"logits", "probabilities"}:
            raise PredictionsError(
                f"{self.name}: expected a column `logits` or `probabilities`, found {sorted(self._columns)}."
            )
        self.example_ids, self.splits, self.labels = self._read_index()
        check_index(self.name, self.example_ids, self.splits, self.labels, self.num_classes)

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of its model and data."""
        found = self._file.schema_arrow.metadata or {}
        prefix = b"unlearn_audit."
        return {k[len(prefix) :].decode(): v.decode() for k, v in found.items() if k.startswith(prefix)}

    @cached_property
    def num_classes(self) -> int:
        """The number of classes c, from the first row group."""
        first = next(self.logit_chunks(1), None)
        if first is None:
            raise PredictionsError(f"{self.name}: expected at least one example, found none.")
        return first.shape[1]

    def logit_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the logits (m, c) of all rows in order, m at most `size`. Probabilities become their logarithms."""
        column = "logits" if "logits" in self._columns else "probabilities"
        start = 0
        for batch in self._batches(size, column):
            values = matrix(self.name, column, batch.column(0))
            ids = self.example_ids[start : start + len(values)]
            check_finite(self.name, column, values, ids)
            yield values if column == "logits" else _log_probabilities(self.name, values, ids)
            start += len(values)

    def _batches(self, size: int, column: str) -> Iterator[Any]:
        """Yield a column's record batches. A reader over all row groups keeps them all, so each gets its own."""
        for group in range(self._file.num_row_groups):
            with self._readable():
                yield from self._file.iter_batches(batch_size=size, row_groups=[group], columns=[column])

    def _read(self, columns: list[str]) -> Any:
        with self._readable():
            return self._file.read(columns=columns)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise PredictionsError(f"{self.name} is damaged; write or fetch it again: {error}") from error

    def load_embeddings(self) -> np.ndarray | None:
        """Return the embeddings (n, d), or None if the file has none."""
        if "embedding" not in self._columns:
            return None
        column = self._read(["embedding"]).column(0).combine_chunks()
        found = matrix(self.name, "embedding", column).astype(np.float32, copy=False)
        check_finite(self.name, "embedding", found, self.example_ids)
        return found

    def load_column(self, column: str) -> np.ndarray:
        """Return a further column (n,), for example a proximity or a slice."""
        self._need(column)
        return self._read([column]).column(0).to_numpy(zero_copy_only=False)

    def _need(self, *columns: str) -> None:
        missing = [c for c in columns if c not in self._columns]
        if missing:
            raise PredictionsError(f"{self.name}: expected a column {missing[0]!r}, found {sorted(self._columns)}.")

    def _read_index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        import pyarrow as pa

        names = [c for c in ("example_id", "label", "split") if c in self._columns]
        table = self._read(names)
        for column in names:
            if table.column(column).null_count:
                raise PredictionsError(f"{self.name}: expected no empty values in {column!r}, found some.")
        ids = table.column("example_id").cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
        try:
            labels = table.column("label").cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid as error:
            raise PredictionsError(f"{self.name}: expected whole numbers in 'label': {error}") from error
        if "split" not in names:
            return ids, np.full(len(ids), "train"), labels
        return ids, table.column("split").cast(pa.string()).to_numpy(zero_copy_only=False).astype(str), labels


def matrix(name: str, column: str, array: Any) -> np.ndarray:
    """Return an Arrow array of n lists of one length m as numbers (n, m); other arrays raise `PredictionsError`."""
    import pyarrow as pa

    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = set(array.value_lengths().unique().to_pylist())
        if len(lengths) != 1:
            raise PredictionsError(
                f"{name}: expected lists of one length in {column!r}, got lengths {sorted(lengths)}."
            )
        (width,) = lengths
    else:
        raise PredictionsError(f"{name}: expected lists of numbers in {column!r}, got {array.type}.")
    values = array.flatten().to_numpy(zero_copy_only=False)
    if len(values) != width * len(array):
        raise PredictionsError(f"{name}: expected no empty values in {column!r}, found some.")
    values = values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
    return values.reshape(len(array), width)


def _log_probabilities(name: str, probabilities: np.ndarray, ids: np.ndarray) -> np.ndarray:
    probabilities = probabilities.astype(np.float32)
    wrong = (probabilities < 0).any(axis=1) | (np.abs(probabilities.sum(axis=1) - 1) > 1e-2)
    if wrong.any():
        raise PredictionsError(
            f"{name}: expected probabilities of at least 0 that sum to 1, got others at {_first(ids[wrong])}. "
            "Call the column `logits` if these are logits."
        )
    return np.log(np.maximum(probabilities, _TINY))


def check_index(name: str, ids: np.ndarray, splits: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    """Check ids (n,), splits (n,) and labels (n,) of one model; raises `PredictionsError`."""
    if not len(ids) == len(splits) == len(labels):
        raise PredictionsError(
            f"{name}: expected as many ids as splits and labels, got {len(ids)}, {len(splits)}, {len(labels)}."
        )
    if len(ids) == 0:
        raise PredictionsError(f"{name}: expected at least one example, found none.")
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise PredictionsError(
            f"{name}: expected each example_id once, got some more often: {_first(unique[counts > 1])}."
        )
    foreign = ~np.isin(splits, SPLITS)
    if foreign.any():
        raise PredictionsError(
            f"{name}: expected split to be 'train' or 'test', got {str(splits[foreign][0])!r} at "
            f"{_first(ids[foreign])}."
        )
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        raise PredictionsError(
            f"{name}: expected labels in [0, {num_classes}), got {labels[outside][0]} at {_first(ids[outside])}."
        )


def check_finite(name: str, column: str, values: np.ndarray, ids: np.ndarray) -> None:
    """Check that values (n, m) are finite; raises `PredictionsError` with the first offending ids."""
    if len(values) != len(ids) or values.ndim != 2:
        raise PredictionsError(f"{name}: expected {column} of shape ({len(ids)}, …), got {values.shape}.")
    if not np.isfinite(values.sum(dtype=np.float64)):
        wrong = ~np.isfinite(values).all(axis=1)
        if wrong.any():
            raise PredictionsError(
                f"{name}: expected finite numbers in {column!r}, got NaN or infinity at {_first(ids[wrong])}."
            )


def matching_rows(reference: PredictionSource, other: PredictionSource) -> np.ndarray | None:
    """Return for each row of `reference` the row of `other` with its id (n,), or None where the order is the same.

    Raises:
        PredictionsError: for missing or foreign ids, other labels or splits, or another number of classes.
    """
    if reference.num_classes != other.num_classes:
        raise PredictionsError(
            f"{other.name}: expected {reference.num_classes} classes as in {reference.name}, got {other.num_classes}."
        )
    rows = None
    if not np.array_equal(reference.example_ids, other.example_ids):
        rows = _rows_by_id(reference, other)
    for column in ("labels", "splits"):
        mine, theirs = getattr(reference, column), getattr(other, column)
        differs = mine != (theirs if rows is None else theirs[rows])
        if differs.any():
            raise PredictionsError(
                f"{other.name}: expected the same {column} as in {reference.name}, got others at "
                f"{_first(reference.example_ids[differs])}. Were these predictions made on the same data?"
            )
    return rows


def _rows_by_id(reference: PredictionSource, other: PredictionSource) -> np.ndarray:
    missing = np.setdiff1d(reference.example_ids, other.example_ids)
    foreign = np.setdiff1d(other.example_ids, reference.example_ids)
    if len(missing) or len(foreign):
        raise PredictionsError(
            f"{other.name}: expected the examples of {reference.name}, but {len(missing)} are missing"
            f"{f' ({_first(missing)})' if len(missing) else ''} and {len(foreign)} are foreign"
            f"{f' ({_first(foreign)})' if len(foreign) else ''}."
        )
    order = np.argsort(other.example_ids)
    return order[np.searchsorted(other.example_ids, reference.example_ids, sorter=order)]


def _first(ids: np.ndarray) -> str:
    shown = ", ".join(str(i) for i in ids[:_SHOWN])
    return shown + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
