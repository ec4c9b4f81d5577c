"""Predictions of made-up models of any size, written a row group at a time, so that they need no memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from unlearn_audit.predictions.parquet import PARQUET, ROW_GROUP
from unlearn_audit.saved.request import AuditRequest, ModelFiles

BLOCK = 4096  # rows of noise that are drawn once and shifted: drawing billions of normals would take most of the time
TEST_SHARE = 1 / 26  # as 50,000 of 1.33 million in ImageNet
FORGET_SHARE = 0.01


def write_models(
    folder: Path, *, examples: int, classes: int, references: int, dtype: type = np.float16, embedding: int = 0
) -> AuditRequest:
    """Write a candidate, the original, an untrained model and `references` retrained ones; return what audits them.

    Logits are the label's bonus plus noise: half of it shared by all trained models, half a model's own. A quarter of
    the examples nearest to the forget set carry damage in the candidate. Without `embedding` numbers an example in the
    original's file, proximities are given in a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.random.default_rng(0).integers(0, classes, examples)
    proximity = np.random.default_rng(1).random(examples)
    names = ["candidate", "original", "untrained", *(f"retrained-{k}" for k in range(references))]
    for seed, name in enumerate(names):
        _write(folder / f"{name}.parquet", labels, proximity, classes, dtype, seed, embedding * (name == "original"))
    forget = _ids(np.arange(_tests(examples), _tests(examples) + max(10, round(FORGET_SHARE * examples))))
    (folder / "forget.txt").write_text("\n".join(forget))
    if not embedding:
        given = {"example_id": _ids(np.arange(examples)), "proximity": proximity}
        pq.write_table(pa.table(given), folder / "proximities.parquet")
    return request_for(folder, references)


def request_for(folder: Path, references: int) -> AuditRequest:
    """Return the request that audits what `write_models` wrote."""
    given = (folder / "proximities.parquet").exists()
    return AuditRequest(
        candidates={"candidate": ModelFiles(("candidate.parquet",))},
        references={f"retrained-{k}": ModelFiles((f"retrained-{k}.parquet",)) for k in range(references)},
        original=ModelFiles(("original.parquet",)),
        untrained=ModelFiles(("untrained.parquet",)),
        forget="forget.txt",
        proximities="proximities.parquet" if given else None,
    )


def _tests(examples: int) -> int:
    return round(examples * TEST_SHARE)


def _ids(rows: np.ndarray) -> list[str]:
    return [f"example-{row}" for row in rows]


def _flat(values: torch.Tensor, dtype: type) -> np.ndarray:
    return values.to(torch.float16 if dtype is np.float16 else torch.float32).numpy().reshape(-1)


def _write(
    path: Path, labels: np.ndarray, proximity: np.ndarray, classes: int, dtype: type, seed: int, embedding: int
) -> None:
    shared = torch.from_numpy(np.random.default_rng(2).standard_normal((2 * BLOCK, classes), np.float32))
    rng = np.random.default_rng(seed + 10)
    own = torch.from_numpy(rng.standard_normal((2 * BLOCK, classes), np.float32))
    damage = (seed == 0) * (proximity > 0.75) * 3.0
    lists = pa.list_(pa.from_numpy_dtype(dtype), classes)
    columns = {"example_id": pa.string(), "split": pa.string(), "label": pa.int64(), "logits": lists}
    if embedding:
        columns["embedding"] = pa.list_(pa.float32(), embedding)
    with pq.ParquetWriter(path, pa.schema(columns), **PARQUET) as writer:
        for start in range(0, len(labels), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(labels)))
            n, here = len(rows), np.arange(len(rows))
            places = np.random.default_rng([3, start]).integers(0, BLOCK), rng.integers(0, BLOCK)
            logits = own[places[1] : places[1] + n].clone()
            if seed != 2:  # the untrained model knows nothing
                logits += shared[places[0] : places[0] + n]
                logits[here, labels[rows]] += torch.from_numpy(4 - damage[rows]).float()
            table = {
                "example_id": _ids(rows),
                "split": np.where(rows < _tests(len(labels)), "test", "train"),
                "label": labels[rows],
                "logits": pa.FixedSizeListArray.from_arrays(_flat(logits, dtype), classes),
            }
            if embedding:
                near = own[:n, :1].numpy() + proximity[rows, None].astype(np.float32) * 3
                vectors = np.concatenate([near, rng.normal(size=(n, embedding - 1)).astype(np.float32)], axis=1)
                table["embedding"] = pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), embedding)
            writer.write_table(pa.table(table, pa.schema(columns)), row_group_size=ROW_GROUP)
