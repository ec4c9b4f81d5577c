"""Predictions as Parquet.

A file has the columns `example_id` (string or integer), `label` (integer), `logits` or `probabilities` (a list of c
numbers), and optionally `split` ("train" or "test"; without it all are "train") and `embedding` (a list of d numbers);
`Names` says where they are called otherwise.
Rows of different files are matched by `example_id`, never by position. Any framework can write one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.bounded import TooLargeError, check_streamable, open_parquet, read_bounded
from unlearn_audit.errors import PredictionsError
from unlearn_audit.files import regular, replacing
from unlearn_audit.predictions.checks import (
    LONGEST_ID,
    as_logits,
    check_finite,
    check_index,
    check_memory,
    gap_in_words,
)
from unlearn_audit.predictions.names import OUTPUTS, Names, missing_column
from unlearn_audit.remote.ranges import RangedFile
from unlearn_audit.remote.sources import base_name, placed

ROW_GROUP = 16_384
# No dictionary of logits: they hardly repeat, and looking for one takes most of the time to write.
PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "use_dictionary": ["split"]}
_PREFIX = b"unlearn_audit."  # of our keys in a file's metadata
_LONGEST = 500  # characters of what Arrow says
_ROW = 200  # bytes that an example's id, split and label take at the least, as Python and NumPy hold them
_READ_BUFFER = 1 << 20  # bytes read ahead; without it a column's whole row group is read at once
_RANGE = 1 << 23  # the same of a file elsewhere, where each read costs a round trip


def write_parquet(
    path: str | Path,
    *,
    example_ids: np.ndarray,
    splits: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    embeddings: np.ndarray | None,
    metadata: Mapping[str, str],
) -> None:
    """Write the fields of `Predictions` as a Parquet file; it appears under its name only when it is whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "example_id": pa.array(example_ids.tolist(), pa.string()),
        "split": pa.array(splits.tolist(), pa.string()).dictionary_encode(),
        "label": pa.array(labels, pa.int64()),
        "logits": _list_array(logits),
    }
    if embeddings is not None:
        columns["embedding"] = _list_array(embeddings)
    prefixed = {_PREFIX + k.encode(): v for k, v in metadata.items()}
    table = pa.table(columns).replace_schema_metadata(prefixed)
    with replacing(path) as draft:
        pq.write_table(table, draft, row_group_size=ROW_GROUP, **PARQUET)


def is_ours(path: str | Path) -> bool:
    """Tell whether a file holds what `predict` found of a model; a pool or another table does not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(regular(path)).metadata or {}
    except (OSError, UnicodeDecodeError, pa.ArrowException):
        return False
    return _PREFIX + b"weights_hash" in metadata


def _list_array(values: np.ndarray) -> Any:
    import pyarrow as pa

    kind = pa.float16() if values.dtype == np.float16 else pa.float32()
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


class PredictionsFile:
    """A Parquet file of predictions: ids, splits and labels are read at once, logits a row group at a time.

    One that lies elsewhere (`hf://…`, `s3://…`) stays there: only the columns that are asked for are moved.
    """

    def __init__(self, path: str | Path, names: Names | None = None):
        import pyarrow as pa

        place = placed("", path) if isinstance(path, str) else path
        self._ranged = RangedFile.open(place) if isinstance(place, str) else None
        self.path: Path | str = self._ranged.source if self._ranged else place
        self.name = base_name(self.path)
        try:
            with self._on_the_way():
                self._file, self._index_file = self._opened()
            found = self._file.schema_arrow.names
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise PredictionsError(
                f"Expected a Parquet file of predictions, got {str(path)!r}: {str(error)[:_LONGEST]}"
            ) from error
        self._names = names or Names()
        self._stored = self._names.stored(found)  # name in the file by ours
        self._gap = 0.0  # of sums of probabilities to 1, in what was read
        twice = sorted({column for column in found if found.count(column) > 1})
        if twice:
            raise PredictionsError(f"{self.name}: expected each column once, got {twice[0]!r} more often.")
        for column in ("example_id", "label"):
            if column not in self._stored:
                raise PredictionsError(missing_column(self.name, f"`{column}`", found))
        outputs = [column for column in OUTPUTS if column in self._stored]
        if not outputs:
            raise PredictionsError(missing_column(self.name, "`logits` or `probabilities`", found))
        if len(outputs) > 1:
            raise PredictionsError(f"{self.name}: expected one of {', '.join(outputs)}, got all. Leave the others out.")
        (self._output,) = outputs
        self.example_ids, self.splits, self.labels = self._read_index()
        check_index(self.name, self.example_ids, self.splits, self.labels, self.num_classes)

    def _opened(self) -> tuple[Any, Any]:
        """Return the file as logits are read of it, and as small columns are: elsewhere, all their ranges at once."""
        if self._ranged is None:
            file = open_parquet(self.path, buffer_size=_READ_BUFFER)
            return file, file
        file = open_parquet(self._ranged.handle, buffer_size=_RANGE)
        return file, open_parquet(self._ranged.handle, metadata=file.metadata, pre_buffer=True)

    def _on_the_way(self) -> AbstractContextManager[None]:
        return nullcontext() if self._ranged is None else self._ranged.reading()

    def _check_unchanged(self) -> None:
        if self._ranged is not None:
            self._ranged.check()

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of its model and data, and whether what was read of it so far had to be normalised."""
        found = self._file.schema_arrow.metadata or {}
        ours = {k.removeprefix(_PREFIX): v for k, v in found.items() if k.startswith(_PREFIX)}
        said = {k.decode(errors="replace"): v.decode(errors="replace") for k, v in ours.items()}
        return said | gap_in_words(self._gap)

    @cached_property
    def num_classes(self) -> int:
        """The number of classes c, as the file says, or from the first row group where lists may differ in length."""
        import pyarrow as pa

        kind = self._file.schema_arrow.field(self._stored[self._output]).type
        if pa.types.is_fixed_size_list(kind) and kind.list_size and self._file.metadata.num_rows:
            check_matrix(self.name, self._output, kind)
            return int(kind.list_size)
        first = next(self.logit_chunks(1), None)
        if first is None:
            raise PredictionsError(f"{self.name}: expected at least one example, found none.")
        return first.shape[1]

    def logit_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the logits (m, c) of all rows in order, m at most `size`. Probabilities become their logarithms."""
        start = 0
        for batch in self._batches(size, self._stored[self._output]):
            values = matrix(self.name, self._output, batch.column(0))
            ids = self.example_ids[start : start + len(values)]
            logits, gap = as_logits(self.name, self._output, values, ids)
            self._gap = max(self._gap, gap)
            yield logits
            start += len(values)

    def _batches(self, size: int, column: str) -> Iterator[Any]:
        """Yield a column's record batches. A reader over all row groups keeps them all, so each gets its own."""
        check_matrix(self.name, column, self._file.schema_arrow.field(column).type)
        with self._readable():
            check_streamable(self._file, column)
        for group in range(self._file.num_row_groups):
            with self._readable():
                yield from self._file.iter_batches(batch_size=size, row_groups=[group], columns=[column])
        self._check_unchanged()

    def _read(self, columns: list[str]) -> Any:
        """Return a table of columns, by our names."""
        with self._readable():
            table = read_bounded(self._index_file, [self._stored[column] for column in columns])
        self._check_unchanged()
        return table.select([self._stored[column] for column in columns]).rename_columns(columns)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            with self._on_the_way():
                yield
        except TooLargeError as error:
            raise PredictionsError(f"{self.name}: {error}") from error
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            reason = str(error)[:_LONGEST]
            raise PredictionsError(f"{self.name} is damaged; write or fetch it again: {reason}") from error

    @property
    def has_embeddings(self) -> bool:
        """Whether the file has embeddings."""
        return "embedding" in self._stored

    def embedding_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the embeddings (m, d) of all rows in order, m at most `size`; nothing where the file has none."""
        start = 0
        for batch in self._batches(size, self._stored["embedding"]) if self.has_embeddings else ():
            found = matrix(self.name, "embedding", batch.column(0))
            check_finite(self.name, "embedding", found, self.example_ids[start : start + len(found)])
            yield found
            start += len(found)

    def load_embeddings(self) -> np.ndarray | None:
        """Return the embeddings (n, d), or None if the file has none."""
        if "embedding" not in self._stored:
            return None
        column = self._read(["embedding"]).column(0).combine_chunks()
        found = matrix(self.name, "embedding", column).astype(np.float32, copy=False)
        check_finite(self.name, "embedding", found, self.example_ids)
        return found

    def _read_index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:

        names: list[str] = [c for c in ("example_id", "label", "split") if c in self._stored]
        check_memory(self.name, self._file.metadata.num_rows * _ROW)
        for column in names:
            _check_kind(self.name, column, self._file.schema_arrow.field(self._stored[column]).type)
        table = self._read(names)
        for column in names:
            if table.column(column).null_count:
                raise PredictionsError(f"{self.name}: expected no empty values in {column!r}, found some.")
        ids = _texts(self.name, "example_id", table.column("example_id"))
        labels = self._labels(table.column("label"))
        if "split" not in names:
            return ids, np.full(len(ids), "train"), labels
        return ids, self._names.split_of(_texts(self.name, "split", table.column("split"))), labels

    def _labels(self, column: Any) -> np.ndarray:
        """Return labels (n,) int64, of whole numbers or names of classes."""
        import pyarrow as pa

        if not pa.types.is_integer(column.type):
            return self._names.label_of(self.name, _texts(self.name, "label", column))
        try:
            return np.asarray(column.cast(pa.int64()).to_numpy())
        except pa.ArrowInvalid as error:
            raise PredictionsError(f"{self.name}: expected whole numbers in 'label': {error}") from error


def _texts(name: str, column: str, values: Any) -> np.ndarray:
    """Return a column as texts (n,); NumPy keeps all as wide as the longest, so an endless one is refused before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = values.cast(pa.string())
    longest = pc.max(pc.utf8_length(texts)).as_py() or 0
    if longest > LONGEST_ID:
        raise PredictionsError(f"{name}: expected at most {LONGEST_ID} characters in {column!r}, got {longest:,}.")
    check_memory(name, 4 * longest * len(texts))
    return np.asarray(texts.to_numpy(zero_copy_only=False).astype(str))


def _check_kind(name: str, column: str, found: Any) -> None:
    """Refuse an Arrow type that would become ids, splits or labels only by a guess."""
    import pyarrow as pa

    kind = found.value_type if pa.types.is_dictionary(found) else found
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    fits = {"example_id": text or pa.types.is_integer(kind), "label": text or pa.types.is_integer(kind), "split": text}
    expected = {"example_id": "text or whole numbers", "label": "whole numbers", "split": "text"}
    if not fits[column]:
        raise PredictionsError(f"{name}: expected {expected[column]} in {column!r}, got {found}.")


def check_matrix(name: str, column: str, kind: Any) -> None:
    """Raise `PredictionsError` unless an Arrow type is that of lists of numbers."""
    import pyarrow as pa

    lists = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise PredictionsError(f"{name}: expected lists of numbers in {column!r}, got {kind}.")


def matrix(name: str, column: str, array: Any) -> np.ndarray:
    """Return an Arrow array of n lists of one length m as numbers (n, m); other arrays raise `PredictionsError`."""
    import pyarrow as pa

    check_matrix(name, column, array.type)
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
    else:
        lengths = set(array.value_lengths().unique().to_pylist())
        if len(lengths) != 1:
            raise PredictionsError(
                f"{name}: expected lists of one length in {column!r}, got lengths {sorted(lengths)}."
            )
        (width,) = lengths
    if width == 0:
        raise PredictionsError(f"{name}: expected lists of numbers in {column!r}, got empty ones.")
    values = array.flatten().to_numpy(zero_copy_only=False)
    if len(values) != width * len(array):
        raise PredictionsError(f"{name}: expected no empty values in {column!r}, found some.")
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused as such
        values = values if values.dtype in (np.float16, np.float32) else values.astype(np.float32)
    return values.reshape(len(array), width)
