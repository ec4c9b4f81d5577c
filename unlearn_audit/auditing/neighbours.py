"""The neighbourhood of an audit's examples: plain arrays from predictions or a file, matched by id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlearn_audit.auditing.models import AuditSubject, populations
from unlearn_audit.bounded import open_parquet, read_bounded
from unlearn_audit.errors import AuditError
from unlearn_audit.files import replacing
from unlearn_audit.neighbourhood import Neighbourhood, NeighbourhoodConfig, find_neighbourhood
from unlearn_audit.populations import FORGET, RETAIN
from unlearn_audit.predictions import PredictionSource, matching_rows
from unlearn_audit.predictions.parquet import matrix


@dataclass(frozen=True, eq=False)
class NeighbourSource:
    """A Parquet file with `example_id` and `embedding`, or `proximity`, or the column that makes the strata."""

    path: Path

    def column(self, name: str, wanted: np.ndarray) -> np.ndarray | None:
        """Return the column `name` (n, …), a row for each `wanted` example id (n,), or None if the file lacks it."""
        import pyarrow as pa

        try:
            file = open_parquet(self.path)
            names = file.schema_arrow.names
            if "example_id" not in names:
                raise AuditError(f"{self.path.name}: expected a column 'example_id', found {names}.")
            if name not in names:
                return None
            twice = [column for column in ("example_id", name) if names.count(column) > 1]
            if twice:
                raise AuditError(f"{self.path.name}: expected each column once, got {twice[0]!r} more often.")
            table = read_bounded(file, ["example_id", name])
        except (OSError, pa.ArrowException) as error:
            raise AuditError(f"Expected a Parquet file, got {str(self.path)!r}: {error}") from error
        ids = table.column("example_id").cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
        rows = _rows(ids, wanted, self.path.name)
        values = table.column(name).combine_chunks()
        if pa.types.is_nested(values.type):
            return matrix(self.path.name, name, values)[rows]
        return values.to_numpy(zero_copy_only=False)[rows]

    def numbers(self, name: str, wanted: np.ndarray) -> np.ndarray | None:
        """Return the column `name` as float64 (n,); None if the file lacks it, `AuditError` if it holds no numbers."""
        found = self.column(name, wanted)
        if found is None:
            return None
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
    proximity = source.numbers("proximity", first.example_ids) if source else None
    embeddings, given = (None, False) if proximity is not None else embeddings_of(first, original, source)
    column, columns = config.make_strata().column_needed(), columns or source
    return find_neighbourhood(
        config,
        embeddings,
        is_forget=population == FORGET,
        is_retain=population == RETAIN,
        labels=first.labels,
        proximity=proximity,
        column=columns.column(column, first.example_ids) if columns and column else None,
        ids=first.example_ids,
        given=given,
    )


def embeddings_of(
    first: PredictionSource, original: PredictionSource | None, source: NeighbourSource | None
) -> tuple[np.ndarray | None, bool]:
    """Return the embeddings (n, d) that proximities are taken from, in the order of the predictions `first`.

    None where neither the source nor the original has any. With them comes whether they are the source's.
    """
    found = source.column("embedding", first.example_ids) if source else None
    if found is not None:
        return found, True
    found = None if original is None else original.load_embeddings()
    if original is None or found is None:
        return None, False
    rows = matching_rows(first, original)
    return (found if rows is None else found[rows]), False
