"""Files are streamed: the same report as from memory, and memory that does not hold their logits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.made_up import request_for, write_models
from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.neighbours import NeighbourSource, embeddings_of, neighbourhood_of
from unlearn_audit.neighbourhood import NeighbourhoodConfig, find_neighbourhood
from unlearn_audit.predictions import Predictions, open_predictions
from unlearn_audit.proximities import Proximity
from unlearn_audit.saved.running import run_audit

PEAK = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from unlearn_audit.auditing.discrepancy import discrepancies
from unlearn_audit.predictions import PredictionsFile
from unlearn_audit.measures import registry
for folder in sys.argv[1:]:
    files = [PredictionsFile(f"{folder}/{name}.parquet") for name in ("candidate", "retrained-0", "retrained-1")]
    discrepancies(files[:1], files[1:], np.ones((len(files[0]), 1), dtype=bool), [registry.create("js")])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

NEAR = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow.parquet as pq, torch
torch.set_num_threads(1)
from unlearn_audit.auditing.neighbours import NeighbourSource
from unlearn_audit.neighbourhood import find_neighbourhood
for path in sys.argv[1:]:
    ids = np.array(pq.read_table(path, columns=["example_id"])["example_id"].to_pylist())
    is_forget = np.arange(len(ids)) < 100
    reader = NeighbourSource(Path(path), "embedding").embeddings(ids)
    labels = np.zeros(len(ids), dtype=int)
    find_neighbourhood(None, reader, is_forget=is_forget, is_retain=~is_forget, labels=labels, ids=ids)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_the_report_is_that_of_predictions_in_memory(tmp_path) -> None:
    write_models(tmp_path, examples=3000, classes=20, references=3)
    request = request_for(tmp_path, 3)
    streamed = run_audit(request, base=tmp_path)

    def loaded(name: str) -> AuditedModel:
        return AuditedModel((Predictions.load(tmp_path / f"{name}.parquet"),))

    subject = AuditSubject(
        candidates={"candidate": loaded("candidate")},
        references={name: loaded(name) for name in request.references},
        original=loaded("original"),
        untrained=loaded("untrained"),
        forget_ids=(tmp_path / "forget.txt").read_text().split(),
        forget_hash=streamed.report.forget_set.hash,
    )
    source = NeighbourSource(tmp_path / "proximities.parquet", "proximity")
    held = audit_subject(
        subject, neighbourhood_of(request.neighbourhood, subject, source), provenance=streamed.report.provenance
    )
    assert held.report == streamed.report
    assert held.ledger.equals(streamed.ledger)


def embeddings(n: int, d: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def in_groups(path, ids: list[str], name: str, values: np.ndarray, **columns) -> None:
    """Write a column in row groups of 100 rows."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    pq.write_table(pa.table({"example_id": ids, name: column, **columns}), path, row_group_size=100)


@pytest.mark.parametrize("proximity", ["centroid", "knn(k=3)"])
@pytest.mark.parametrize("order", ["same", "other"])
def test_embeddings_in_row_groups_give_the_neighbourhood_of_those_in_memory(proximity, order, tmp_path) -> None:
    n, values = 730, embeddings(730)
    ids, is_forget = np.array([f"train-{i}" for i in range(n)]), np.arange(n) % 20 == 3
    given = {"is_forget": is_forget, "is_retain": ~is_forget, "labels": np.arange(n) % 4, "ids": ids}
    config = NeighbourhoodConfig(proximity=proximity)
    held = find_neighbourhood(config, values, **given)
    stored = np.arange(n) if order == "same" else np.random.default_rng(1).permutation(n)
    more = np.concatenate([values[stored], values[:5]])  # and examples that nobody asks for
    in_groups(tmp_path / "embeddings.parquet", [*ids[stored], *(f"other-{i}" for i in range(5))], "embedding", more)
    reader = NeighbourSource(tmp_path / "embeddings.parquet", "embedding").embeddings(ids)
    found = find_neighbourhood(config, reader, **given)
    np.testing.assert_allclose(found.proximity, held.proximity, atol=1e-6)
    np.testing.assert_array_equal(found.stratum, held.stratum)
    np.testing.assert_array_equal(found.nearest_forget_ids, held.nearest_forget_ids)


def test_the_originals_own_embeddings_are_streamed_in_whatever_order(tmp_path) -> None:
    n, values, stored = 250, embeddings(250), np.random.default_rng(2).permutation(250)
    ids, logits = np.array([f"train-{i}" for i in range(n)]), np.eye(4)[np.arange(n) % 4].astype(np.float32) * 3
    columns = {"splits": np.full(n, "train"), "labels": np.arange(n) % 4, "logits": logits}
    first = Predictions(ids, **columns)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(logits[stored].reshape(-1)), 4)
    labels = pa.array(columns["labels"][stored])
    in_groups(tmp_path / "o.parquet", list(ids[stored]), "embedding", values[stored], logits=flat, label=labels)
    reader, given = embeddings_of(first, open_predictions(tmp_path / "o.parquet"), None)
    assert not given
    np.testing.assert_array_equal(reader.whole(), values)
    assert max(len(block) for _, block in reader.blocks()) == 100
    chosen = np.arange(n) % 7 == 2
    np.testing.assert_array_equal(reader.select(chosen), values[chosen])


def test_a_proximity_that_looks_at_all_examples_gets_them_at_once(monkeypatch) -> None:
    called = []

    class Ranks(Proximity):
        def __call__(self, embeddings, forget_embeddings, own=None):
            called.append(len(embeddings))
            return embeddings[:, 0].argsort().argsort().astype(np.float32)

    monkeypatch.setattr(NeighbourhoodConfig, "make_proximity", lambda self: Ranks())
    monkeypatch.setattr("unlearn_audit.proximities._embeddings.BLOCK_ROWS", 10)
    values, is_forget = embeddings(64), np.arange(64) < 6
    found = find_neighbourhood(None, values, is_forget=is_forget, is_retain=~is_forget, labels=np.zeros(64, int))
    assert called == [64]
    np.testing.assert_array_equal(found.proximity, values[:, 0].argsort().argsort())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_embeddings(tmp_path) -> None:
    sizes, width = (10_000, 60_000), 256
    for n in sizes:
        values = embeddings(n, width)
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
        table = pa.table({"example_id": [str(i) for i in range(n)], "embedding": column})
        pq.write_table(table, tmp_path / f"{n}.parquet", row_group_size=4096)
    command = [sys.executable, "-c", NEAR, *(str(tmp_path / f"{n}.parquet") for n in sizes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    small, large = map(float, done.stdout.split())
    read_more = (sizes[1] - sizes[0]) * width * 4 / 2**20  # MiB
    assert large - small < read_more / 2, (small, large, read_more)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_examples_times_classes(tmp_path) -> None:
    """Models of 8 MB and of 41 MB of logits: what the second needs more is far less than what it reads more."""
    sizes = (4_096, 20_480)
    for examples in sizes:
        write_models(tmp_path / str(examples), examples=examples, classes=1000, references=2)
    command = [sys.executable, "-c", PEAK, *(str(tmp_path / str(examples)) for examples in sizes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    small, large = map(float, done.stdout.split())
    read_more = 3 * (sizes[1] - sizes[0]) * 1000 * np.dtype(np.float16).itemsize / 2**20  # MiB
    assert large - small < read_more / 5, (small, large)
