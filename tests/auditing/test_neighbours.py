"""Embeddings and proximities from a file: matched by id, and refused where they do not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.made_up_audit import request_in
from unlearn_audit.errors import AuditError, UnlearnAuditError
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.request import AuditRequest
from unlearn_audit.saved.running import run_audit


@pytest.fixture
def request_here(tmp_path) -> AuditRequest:
    return request_in(tmp_path)


def audit_with(request: AuditRequest, folder, kind: str, **columns):
    """Run the audit with a file of these columns."""
    pq.write_table(pa.table(columns), folder / "given.parquet")
    return run_audit(dataclasses.replace(request, **{kind: "given.parquet"}), base=folder)


def test_rows_of_a_file_are_matched_by_id_and_others_ignored(request_here, tmp_path) -> None:
    original = Predictions.load(tmp_path / "original.parquet")
    order = np.random.default_rng(0).permutation(len(original))
    ids, embeddings = original.example_ids[order], original.embeddings[order]
    found = audit_with(
        request_here,
        tmp_path,
        "embeddings",
        example_id=[*ids.tolist(), "train-foreign"],
        embedding=[*embeddings.tolist(), embeddings[0].tolist()],
    )
    own = run_audit(request_here, base=tmp_path)
    for name in ("proximity", "stratum", "nearest_forget_id"):
        assert found.ledger.column(name).equals(own.ledger.column(name))


def test_proximities_are_taken_as_they_are(request_here, tmp_path) -> None:
    ids = Predictions.load(tmp_path / "original.parquet").example_ids
    given = np.random.default_rng(0).random(len(ids)).astype(np.float32)
    found = audit_with(request_here, tmp_path, "proximities", example_id=ids[::-1].tolist(), proximity=given[::-1])
    np.testing.assert_array_equal(found.ledger.column("proximity").to_numpy(), given)
    assert set(found.ledger.column("nearest_forget_id").to_pylist()) == {""}  # not known
    assert "proximities given" in found.report.neighbourhood.description


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        (slice(0, 0), [], "800 examples are missing"),
        (slice(1, None), 0.5, "1 examples are missing, the first being 'train-0'"),
        (slice(None), "near", "one number an example"),
        (slice(None), None, "finite"),
        (slice(None), float("inf"), "finite"),
        (slice(None), 0.5, "tell retain examples apart"),
    ],
)
def test_proximities_that_do_not_fit_are_refused(request_here, tmp_path, rows, values, message) -> None:
    ids = Predictions.load(tmp_path / "original.parquet").example_ids[rows].tolist()
    kind = {str: pa.string()}.get(type(values), pa.float64())
    column = pa.array(values if isinstance(values, list) else [values] * len(ids), kind)
    with pytest.raises(AuditError, match=message):
        audit_with(request_here, tmp_path, "proximities", example_id=pa.array(ids, pa.string()), proximity=column)


def test_an_id_given_twice_is_refused(request_here, tmp_path) -> None:
    ids = Predictions.load(tmp_path / "original.parquet").example_ids.tolist()
    with pytest.raises(AuditError, match="'test-3' more often"):
        audit_with(
            request_here, tmp_path, "proximities", example_id=[*ids, "test-3"], proximity=np.arange(len(ids) + 1.0)
        )


def test_ragged_embeddings_are_refused(request_here, tmp_path) -> None:
    ids = Predictions.load(tmp_path / "original.parquet").example_ids.tolist()
    ragged = [[1.0] * (2 + (row == 0)) for row in range(len(ids))]
    with pytest.raises(UnlearnAuditError, match=r"given\.parquet: expected lists of one length"):
        audit_with(request_here, tmp_path, "embeddings", example_id=ids, embedding=ragged)
