"""A pool: predictions of many models of known nature on the same examples, from which random audits are drawn.

A pool is one Parquet file with a row an example: `example_id`, `label`, `population`, `proximity` (E numbers: one for
each original's embedding), and for each kind of model a column `logits <kind>` of M x c numbers in float16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.bounded import read_parquet
from unlearn_audit.errors import AuditError, did_you_mean
from unlearn_audit.files import replacing

HONEST = "retrained"
ORIGINAL = "original"
SHIPPED = ("digits", "memorising", "generalising")
_PREFIX = "logits "
_HEADER = b"unlearn_audit.pool"


@dataclass(frozen=True, eq=False)
class Pool:
    """Models of known nature on n examples with c classes.

    Attributes:
        name: of the pool.
        example_ids: (n,) strings.
        labels: (n,) int64.
        population: (n,) int, index into `POPULATIONS`.
        proximity: (E, n) float32, by each of the E originals' embeddings; larger is nearer to the forget set.
        logits: by kind, (M, n, c) float16. "retrained" are the honest ones; "original" saw everything.
        recipe: how the models were made.
    """

    name: str
    example_ids: np.ndarray
    labels: np.ndarray
    population: np.ndarray
    proximity: np.ndarray
    logits: Mapping[str, np.ndarray]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_retrained(self) -> int:
        """N, how many honest models there are."""
        return len(self.logits[HONEST])

    def save(self, path: str | Path) -> None:
        """Write the pool as one Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {
            "example_id": self.example_ids.tolist(),
            "label": self.labels.astype(np.int16),
            "population": self.population.astype(np.int8),
            "proximity": _lists(self.proximity.T.astype(np.float32)),
        }
        for kind, logits in self.logits.items():
            models, n, classes = logits.shape
            flat = np.ascontiguousarray(logits.transpose(1, 0, 2)).reshape(n, models * classes)
            columns[_PREFIX + kind] = _lists(flat.astype(np.float16))
        header = {"name": self.name, "recipe": dict(self.recipe)}
        table = pa.table(columns).replace_schema_metadata({_HEADER: json.dumps(header)})
        with replacing(path) as draft:
            pq.write_table(table, draft, compression="zstd", compression_level=19, use_dictionary=False)

    @classmethod
    def load(cls, path: str | Path) -> Pool:
        """Read what `save` wrote; anything else raises `AuditError`."""
        import pyarrow as pa

        try:
            table = read_parquet(path)
        except (OSError, pa.ArrowException) as error:
            raise AuditError(f"Expected the Parquet file of a pool, got {str(path)!r}: {error}") from error
        metadata = table.schema.metadata or {}
        if _HEADER not in metadata:
            raise AuditError(
                f"{Path(path).name}: expected a pool that `unlearn-audit calibrate` wrote, got another table."
            )
        header = json.loads(metadata[_HEADER])
        labels = table["label"].to_numpy().astype(np.int64)
        proximity = _matrix(table["proximity"])
        classes = int(header["recipe"].get("num_classes") or labels.max() + 1)
        logits = {
            name.removeprefix(_PREFIX): _models(_matrix(table[name]), classes)
            for name in table.column_names
            if name.startswith(_PREFIX)
        }
        population = table["population"].to_numpy().astype(np.int64)
        ids = np.asarray(table["example_id"].to_pylist())
        return cls(header["name"], ids, labels, population, proximity.T, logits, header["recipe"])


def shipped_pool(name: str) -> Pool:
    """Return a pool that comes with the package: "digits", "memorising" or "generalising"."""
    if name not in SHIPPED:
        raise AuditError(f"There is no pool {name!r}.{did_you_mean(name, SHIPPED)}")
    with as_file(files("unlearn_audit.calibration.pools") / f"{name}.parquet") as path:
        return Pool.load(path)


def _lists(values: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1])


def _matrix(column: Any) -> np.ndarray:
    array = column.combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), -1)


def _models(flat: np.ndarray, classes: int) -> np.ndarray:
    """Return (n, M * c) as (M, n, c)."""
    return np.ascontiguousarray(flat.reshape(len(flat), -1, classes).transpose(1, 0, 2))
