"""The columns of `examples.parquet`: what the audit found for each example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.bounded import read_parquet
from unlearn_audit.errors import AuditError

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 500  # characters of what Arrow says


@dataclass(frozen=True, eq=False)
class Ledger:
    """The columns of `examples.parquet` by name, each (n,), one row an example."""

    columns: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, rows: pa.Table) -> Ledger:
        """Read every column of an Arrow table."""
        return cls({name: rows.column(name).to_numpy(zero_copy_only=False) for name in rows.column_names})

    def __len__(self) -> int:
        return len(self["example_id"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def of_model(self, model: str, what: str) -> np.ndarray | None:
        """Return a model's column (n,), or None where the ledger does not have it."""
        return self.columns.get(f"{model}.{what}")

    def mask(self, population: str) -> np.ndarray:
        """Return which rows belong to a population, (n,) bool."""
        return np.asarray(self["population"] == population)


def read_ledger(folder: str | Path) -> pa.Table:
    """Read an audit's `examples.parquet`; a folder without it raises `AuditError`."""
    import pyarrow as pa

    path = Path(folder) / "examples.parquet"
    if not path.is_file():
        raise AuditError(
            f"Expected a whole report folder, found no examples.parquet in {str(folder)!r}: run the audit again."
        )
    try:
        return read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise AuditError(f"{path} cannot be read: {str(error)[:_LONGEST]}. Run the audit again.") from error
