"""The neighbourhood of an audit's examples: plain arrays from predictions or a file, matched by id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.auditing.models import AuditSubject, populations
from unlearn_audit.bounded import check_streamable, open_parquet, read_bounded
from unlearn_audit.errors import AuditError
from unlearn_audit.files import replacing
from unlearn_audit.neighbourhood import Neighbourhood, NeighbourhoodConfig, find_neighbourhood
from unlearn_audit.populations import FORGET, RETAIN
from unlearn_audit.predictions import PredictionSource, matching_rows
from unlearn_audit.predictions.names import Names, missing_column
from unlearn_audit.predictions.parquet import check_matrix, matrix
from unlearn_audit.proximities import Embeddings
from unlearn_audit.proximities._embeddings import BLOCK_ROWS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@dataclass(frozen=True, eq=False)
class NeighbourSource:
    """A Parquet file with `example_id` and `embedding`, or `proximity`, or the column that makes the strata.

    Attributes:
        path: of the file.
        holds: "embedding" or "proximity"; empty for a column of any name.
        names: of its columns, where they are not ours.
    """

    path: Path
    holds: str = ""
    names: Names = field(default_factory=Names)

    def needed(self, name: str, wanted: np.ndarray) -> np.ndarray:
        """Return the column `name` as `column` does; an `AuditError` says which columns there are where it is not."""
        found = self.column(name, wanted)
        if found is None:
            raise AuditError(missing_column(self.path.name, f"`{name}`", self._found()))
        return found

    def _found(self) -> list[str]:
        return list(open_parquet(self.path).schema_arrow.names)

    def column(self, name: str, wanted: np.ndarray) -> np.ndarray | None:
        """Return the column `name` (n, …), a row for each `wanted` example id (n,), or None if the file lacks it."""
        with self._readable():
            file, ids, stored = self._opened(name)
            if stored is None:
                return None
            table = read_bounded(file, [ids, stored])
        rows = _rows(_texts(table.column(ids)), wanted, self.path.name)
        values = table.column(stored).combine_chunks()
        if _is_nested(values.type):
            return matrix(self.path.name, name, values)[rows]
        return np.asarray(values.to_numpy(zero_copy_only=False)[rows])

    def embeddings(self, wanted: np.ndarray) -> Embeddings:
        """Return a reader of the embeddings of `wanted` example ids (n,); it reads a row group at a time.

        Raises:
            AuditError: where the file has none, or lacks examples.
        """
        with self._readable():
            file, ids, stored = self._opened("embedding")
            if stored is None:
                raise AuditError(missing_column(self.path.name, "`embedding`", self._found()))
            check_matrix(self.path.name, "embedding", file.schema_arrow.field(stored).type)
            check_streamable(file, stored)
            known = _texts(read_bounded(file, [ids]).column(ids))
        rows = _rows(known, wanted, self.path.name)
        places = np.full(len(known), -1)
        places[rows] = np.arange(len(wanted))
        return Embeddings(len(wanted), partial(self._blocks, file, stored), places)

    def _blocks(self, file: pq.ParquetFile, stored: str) -> Iterator[np.ndarray]:
        with self._readable():
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=BLOCK_ROWS, row_groups=[group], columns=[stored]):
                    yield matrix(self.path.name, "embedding", batch.column(0))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise AuditError(f"Expected a Parquet file, got {str(self.path)!r}: {error}") from error

    def _opened(self, name: str) -> tuple[pq.ParquetFile, str, str | None]:
        """Return the file, and what it calls the ids and the column `name`; None where it lacks this one."""
        file = open_parquet(self.path)
        found = file.schema_arrow.names
        stored = {name: name, **self.names.stored(found)}
        if "example_id" not in stored:
            raise AuditError(missing_column(self.path.name, "`example_id`", found))
        if stored[name] not in found:
            return file, stored["example_id"], None
        twice = [column for column in (stored["example_id"], stored[name]) if found.count(column) > 1]
        if twice:
            raise AuditError(f"{self.path.name}: expected each column once, got {twice[0]!r} more often.")
        return file, stored["example_id"], stored[name]

    def numbers(self, name: str, wanted: np.ndarray) -> np.ndarray:
        """Return the column `name` as float64 (n,); `AuditError` if the file lacks it, or if it holds no numbers."""
        found = self.needed(name, wanted)
        if found.ndim != 1 or found.dtype.kind not in "fiu":
            raise AuditError(f"{self.path.name}: expected one number an example in {name!r}, got {found.dtype}.")
        return found.astype(np.float64)


def write_column(path: Path, example_ids: np.ndarray, name: str, values: np.ndarray) -> None:
    """Write a file that `NeighbourSource` reads: ids (n,) and values (n,) or (n, d) under a name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = list(values) if values.ndim == 2 else values
    with replacing(path) as draft:
        pq.write_table(pa.table({"example_id": example_ids.tolist(), name: column}), draft)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    return np.asarray(column.cast(pa.string()).to_numpy(zero_copy_only=False).astype(str))


def _is_nested(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(kind))


def _rows(ids: np.ndarray, wanted: np.ndarray, name: str) -> np.ndarray:
    unique, first = np.unique(ids, return_index=True)
    if len(unique) < len(ids):
        repeated = np.delete(ids, first)[0]
        raise AuditError(f"{name}: expected each example_id once, got {str(repeated)!r} more often.")
    missing = ~np.isin(wanted, unique)
    if missing.any():
        raise AuditError(f"{name}: {missing.sum()} examples are missing, the first being {str(wanted[missing][0])!r}.")
    return first[np.searchsorted(unique, wanted)]


def neighbourhood_of(
    config: NeighbourhoodConfig,
    subject: AuditSubject,
    source: NeighbourSource | None = None,
    columns: NeighbourSource | None = None,
) -> Neighbourhood:
    """Find the neighbourhood of a subject's examples, in the order of the first reference's predictions.

    Args:
        config: how.
        subject: the models' predictions; by default the original's embeddings give the proximity.
        source: a file with embeddings or proximities, instead.
        columns: a file with the column that makes the strata; by default it is looked for in `source`.

    Raises:
        AuditError: where there is nothing to take proximities from that the strata need, or a file lacks examples.
    """
    original = None if subject.original is None else subject.original.predictions[0]
    return neighbourhood_in(
        config, subject.first, populations(subject), original=original, source=source, columns=columns
    )


def neighbourhood_in(
    config: NeighbourhoodConfig,
    first: PredictionSource,
    population: np.ndarray,
    *,
    original: PredictionSource | None,
    source: NeighbourSource | None = None,
    columns: NeighbourSource | None = None,
) -> Neighbourhood:
    """Find the neighbourhood of the examples of one model's predictions, in their order.

    Args:
        config: how.
        first: the predictions.
        population: (n,) int, index into `POPULATIONS`.
        original: predictions whose embeddings give the proximity by default.
        source: a file with embeddings or proximities, instead.
        columns: a file with the column that makes the strata; by default it is looked for in `source`.

    Raises:
        AuditError: as `neighbourhood_of`.
    """
    is_given = source is not None and source.holds == "proximity"
    proximity = source.numbers("proximity", first.example_ids) if source and is_given else None
    embeddings, given = (None, False) if proximity is not None else embeddings_of(first, original, source)
    column = config.make_strata().column_needed()
    return find_neighbourhood(
        config,
        embeddings,
        is_forget=population == FORGET,
        is_retain=population == RETAIN,
        labels=first.labels,
        proximity=proximity,
        column=_strata_column(column, first.example_ids, columns, source) if column else None,
        ids=first.example_ids,
        given=given,
    )


def _strata_column(
    name: str, wanted: np.ndarray, columns: NeighbourSource | None, source: NeighbourSource | None
) -> np.ndarray | None:
    if columns is not None:
        return columns.needed(name, wanted)
    return None if source is None else source.column(name, wanted)


def embeddings_of(
    first: PredictionSource, original: PredictionSource | None, source: NeighbourSource | None
) -> tuple[Embeddings | None, bool]:
    """Return a reader of the embeddings that proximities are taken from, for the examples of the predictions `first`.

    None where neither the source nor the original has any. With it comes whether they are the source's.
    """
    if source is not None and source.holds == "embedding":
        return source.embeddings(first.example_ids), True
    if original is None or not original.has_embeddings:
        return None, False
    rows, count = matching_rows(first, original), len(first.example_ids)
    places = None
    if rows is not None:
        places = np.full(len(original.example_ids), -1)
        places[rows] = np.arange(count)
    return Embeddings(count, partial(original.embedding_chunks, BLOCK_ROWS), places), False
