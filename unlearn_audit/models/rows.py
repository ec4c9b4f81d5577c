"""Predictions of any model on any rows: by a function, a batch at a time, so that rows may be streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from unlearn_audit.errors import ModelError
from unlearn_audit.predictions import Predictions

Row = Mapping[str, Any]


def predict_rows(
    function: Callable[[list[Row]], Any],
    rows: Iterable[Row],
    *,
    id_column: str = "id",
    label_column: str = "label",
    split: str = "train",
    batch_size: int = 64,
    model_id: str = "",
) -> Predictions:
    """Return the predictions of a model outside transformers, or of a task that is not images.

    Args:
        function: takes a list of rows and returns their logits (n, c), or logits and embeddings (n, d), as arrays or
            tensors.
        rows: dictionaries with an id and a label: a `datasets.Dataset`, also a streamed one, or a list. Each is held
            only as long as its batch.
        id_column: has an id of its own for each row.
        label_column: has the class, from 0.
        split: "train" or "test"; `joined` puts the predictions of both together.
        batch_size: rows a call.
        model_id: to be recorded.

    Raises:
        ModelError: where a row lacks a column, or the function returns anything else.
        PredictionsError: where ids repeat, or numbers are not finite.
    """
    ids: list[str] = []
    labels: list[int] = []
    logits: list[np.ndarray] = []
    embeddings: list[np.ndarray] = []
    for batch in _batches(rows, batch_size):
        for row in batch:
            missing = [column for column in (id_column, label_column) if column not in row]
            if missing:
                raise ModelError(f"Expected a column {missing[0]!r} in each row, found {sorted(row)}.")
        ids += [str(row[id_column]) for row in batch]
        labels += [int(row[label_column]) for row in batch]
        found = function(batch)
        parts = found if isinstance(found, tuple) else (found,)
        arrays = [_array(part, len(batch)) for part in parts]
        logits.append(arrays[0])
        embeddings += arrays[1:2]
    if not ids:
        raise ModelError("Expected at least one row to predict, got none.")
    return Predictions(
        example_ids=np.array(ids, dtype=np.str_),
        splits=np.full(len(ids), split),
        labels=np.array(labels, dtype=np.int64),
        logits=np.concatenate(logits),
        embeddings=np.concatenate(embeddings) if embeddings else None,
        metadata={"model_id": model_id} if model_id else {},
    )


def joined(*parts: Predictions) -> Predictions:
    """Return the predictions of one model on several splits as one."""
    embeddings = [part.embeddings for part in parts if part.embeddings is not None]
    return Predictions(
        example_ids=np.concatenate([part.example_ids for part in parts]),
        splits=np.concatenate([part.splits for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        logits=np.concatenate([part.logits for part in parts]),
        embeddings=np.concatenate(embeddings) if len(embeddings) == len(parts) else None,
        metadata=parts[0].metadata,
    )


def per_output(
    logits: Any, labels: Any, *, example_ids: Any, splits: Any, names: Iterable[str], embeddings: Any = None
) -> dict[str, Predictions]:
    """Return the predictions of a multi-label model as one yes-or-no model for each output, by its name.

    An output's logit z says yes with the probability sigmoid(z): the softmax over (0, z). Each output is then audited
    by itself; L outputs are L audits, each with its own error rate.

    Args:
        logits: (n, L), before the sigmoid.
        labels: (n, L) of 0 and 1.
        example_ids: (n,).
        splits: (n,) "train" or "test".
        names: of the L outputs.
        embeddings: (n, d), shared by all.
    """
    values, truth, listed = _array(logits, len(example_ids)), np.asarray(labels), list(names)
    if truth.shape != values.shape or len(listed) != values.shape[1]:
        raise ModelError(
            f"Expected logits and labels (n, L) with L names, got {values.shape}, {truth.shape} and {len(listed)} "
            "names."
        )
    return {
        name: Predictions(
            example_ids=np.asarray(example_ids).astype(np.str_),
            splits=np.asarray(splits).astype(np.str_),
            labels=truth[:, place].astype(np.int64),
            logits=np.stack([np.zeros(len(values), np.float32), values[:, place]], axis=1),
            embeddings=None if embeddings is None else _array(embeddings, len(values)),
        )
        for place, name in enumerate(listed)
    }


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


def _array(values: Any, count: int) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().float().cpu()
    found = np.asarray(values, dtype=np.float32)
    if found.ndim != 2 or len(found) != count:
        raise ModelError(f"Expected an array of shape ({count}, …) for {count} rows, got {found.shape}.")
    return found
