"""Predictions of one model on all its examples, as a value: the only thing an audit needs of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from unlearn_audit.predictions.checks import check_finite, check_index, check_metadata, check_no_probabilities
from unlearn_audit.predictions.names import Names
from unlearn_audit.remote.sources import at_hand, is_remote_file


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
        check_metadata(self.name, self.metadata)
        check_no_probabilities(self.name, self.logits)
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

    @property
    def has_embeddings(self) -> bool:
        """Whether there are embeddings."""
        return self.embeddings is not None

    def embedding_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the embeddings (m, d) of all rows in order, m at most `size`; nothing where there are none."""
        if self.embeddings is not None:
            for start in range(0, len(self), size):
                yield self.embeddings[start : start + size]

    def load_embeddings(self) -> np.ndarray | None:
        """Return the embeddings (n, d), or None."""
        return self.embeddings

    def save(self, path: str | Path) -> None:
        """Write a Parquet file; it appears under its name only when it is whole."""
        from unlearn_audit.predictions.parquet import write_parquet

        write_parquet(
            path,
            example_ids=self.example_ids,
            splits=self.splits,
            labels=self.labels,
            logits=self.logits,
            embeddings=self.embeddings,
            metadata=self.metadata,
        )

    @classmethod
    def of_table(cls, table: Any, *, name: str = "predictions", names: Names | None = None) -> Predictions:
        """Take a table of pandas, polars, Arrow or `datasets`, whose columns are those of a Parquet file, or `names`.

        Raises:
            PredictionsError: where it holds no predictions.
        """
        from unlearn_audit.predictions.frames import fields_of_table

        return cls(**fields_of_table(name, table, names or Names()))

    @classmethod
    def load(cls, path: str | Path, names: Names | None = None) -> Predictions:
        """Read a file into memory: `.npz`, `.csv`, `.jsonl`, or else Parquet; `names` says what is called otherwise.

        Raises:
            PredictionsError: where it cannot be read, or holds no predictions.
            HubError: as `open_predictions`.
            StoreError: as `open_predictions`.
        """
        from unlearn_audit.predictions.parquet import ROW_GROUP, PredictionsFile
        from unlearn_audit.predictions.reading import READERS

        read = READERS.get(PurePath(path).suffix.lower())
        if read is not None:
            with at_hand(str(path)) if is_remote_file(str(path)) else nullcontext(Path(path)) as file:
                return cls(**read(file, names or Names()))
        source = PredictionsFile(path, names)
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
