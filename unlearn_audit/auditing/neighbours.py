"""The neighbourhood of an audit's examples, from predictions or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unlearn_audit.auditing.models import AuditSubject, populations
from unlearn_audit.errors import AuditError
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.predictions import matching_rows
from unlearn_audit.predictions.parquet import matrix
from unlearn_audit.proximities import registry
from unlearn_audit.proximities._search import nearest
from unlearn_audit.strata import Neighbourhood, NeighbourhoodConfig, cut


@dataclass(frozen=True, eq=False)
class NeighbourSource:
    """A Parquet file with `example_id` and `embedding`, or `proximity`, or the column that makes the strata."""

    path: Path

    def column(self, name: str, subject: AuditSubject) -> np.ndarray | None:
        """Return the column `name`, a row for each example of the subject (n, …), or None if the file lacks it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            names = pq.read_schema(self.path).names
            if "example_id" not in names:
                raise AuditError(f"{self.path.name}: expected a column 'example_id', found {names}.")
            if name not in names:
                return None
            table = pq.read_table(self.path, columns=["example_id", name])
        except (OSError, pa.ArrowException) as error:
            raise AuditError(f"Expected a Parquet file, got {str(self.path)!r}: {error}") from error
        ids = table.column("example_id").cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
        rows = _rows(ids, subject.first.example_ids, self.path.name)
        values = table.column(name).combine_chunks()
        if pa.types.is_nested(values.type):
            return matrix(self.path.name, name, values)[rows]
        return values.to_numpy(zero_copy_only=False)[rows]

    def numbers(self, name: str, subject: AuditSubject) -> np.ndarray | None:
        """Return the column `name` as float64 (n,), or None if the file lacks it; anything else is an error."""
        found = self.column(name, subject)
        if found is None:
            return None
        if found.ndim != 1 or found.dtype.kind not in "fiu":
            raise AuditError(f"{self.path.name}: expected one number an example in {name!r}, got {found.dtype}.")
        return found.astype(np.float64)


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
    config: NeighbourhoodConfig, subject: AuditSubject, source: NeighbourSource | None = None
) -> Neighbourhood:
    """Make the neighbourhood of a subject's examples.

    Args:
        config: how.
        subject: the models' predictions; by default the original's embeddings give the proximity.
        source: a file with embeddings, proximities or a column for strata, instead.

    Raises:
        AuditError: where there is nothing to take proximities from.
    """
    population = populations(subject)
    is_forget = population == POPULATIONS.index("forget")
    proximity, embeddings = _proximity(config, subject, source, is_forget)
    column = None
    if config.column is not None:
        column = source.column(config.column, subject) if source else None
    stratum, strata = cut(
        config,
        proximity,
        is_retain=population == POPULATIONS.index("retain"),
        is_forget=is_forget,
        labels=subject.first.labels,
        column=column,
    )
    ids = None if embeddings is None else _nearest_ids(embeddings, is_forget, subject.first.example_ids)
    return Neighbourhood(config, proximity, stratum, strata, _describe(config, embeddings is None, len(strata)), ids)


def _proximity(
    config: NeighbourhoodConfig, subject: AuditSubject, source: NeighbourSource | None, is_forget: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    if source is not None:
        given = source.numbers("proximity", subject)
        if given is not None:
            return given, None
    embeddings = _embeddings(subject, source)
    own = np.where(is_forget, np.cumsum(is_forget) - 1, -1)
    proximity = registry.load(config.proximity)
    return proximity(embeddings, embeddings[is_forget], own=own, k=config.k), embeddings


def _embeddings(subject: AuditSubject, source: NeighbourSource | None) -> np.ndarray:
    found = source.column("embedding", subject) if source else None
    if found is not None:
        return found
    if subject.original is not None:
        predictions = subject.original.predictions[0]
        found = predictions.load_embeddings()
        if found is not None:
            rows = matching_rows(subject.first, predictions)
            return found if rows is None else found[rows]
    raise AuditError(
        "Expected embeddings to tell who is near the forget set: give the original model's predictions with a column "
        "`embedding`, or a file of embeddings, or a file of proximities."
    )


def _nearest_ids(embeddings: np.ndarray, is_forget: np.ndarray, ids: np.ndarray) -> np.ndarray:
    forget_ids = ids[is_forget]
    if len(forget_ids) < 2:
        return np.where(is_forget, "", forget_ids[0])
    own = np.where(is_forget, np.cumsum(is_forget) - 1, -1)
    _, index = nearest(embeddings, embeddings[is_forget], k=1, own=own)
    return forget_ids[index[:, 0]]


def _describe(config: NeighbourhoodConfig, given: bool, count: int) -> str:
    if given:
        how = "proximities given"
    else:
        k = f" of {config.k} neighbours" if config.proximity == "knn" else ""
        how = f"{config.proximity} proximity{k} in the embedding of the {config.embedding} model"
    number = f"{count} " if config.strata in ("quantiles", "equal_width") else ""
    return f"{how}; strata: {number}{config.strata.replace('_', ' ')}"
