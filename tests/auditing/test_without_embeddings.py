"""What the embeddings are of is said, and strata by class or by a column ask for none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.made_up_audit import made_up
from unlearn_audit import audit, verify
from unlearn_audit.errors import AuditError
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions


def model(seed: int, **options) -> Predictions:
    return dataclasses.replace(made_up(seed, **options), embeddings=None)


ONE = model(0)
TRAIN = ONE.splits == "train"
LOST = ONE.labels == 0
FORGET = ONE.example_ids[TRAIN & LOST][::2]


def audited(forget=FORGET, **options):
    references = [model(seed) for seed in range(3)]
    given = {"original": model(52), "measures": ["js"], **options}
    return audit({"damaged": model(51, damage=4)}, references, forget, **given)


def test_strata_by_class_need_no_embedding_and_neighbours_are_of_the_class(tmp_path) -> None:
    found = audited(neighbourhood=NeighbourhoodConfig(strata="same_class"))
    assert found.report.neighbourhood.proximity == found.report.neighbourhood.embedding == "none"
    assert found.report.neighbourhood.description == "neighbours by class; strata: same class"
    counts = {group.name: group.count for group in found.report.groups}
    assert counts == {
        "forget": len(FORGET),
        "same_class_retain": (TRAIN & LOST).sum() - len(FORGET),
        "other_retain": (TRAIN & ~LOST).sum(),
        "same_class_test": (~TRAIN & LOST).sum(),
        "other_test": (~TRAIN & ~LOST).sum(),
    }
    ledger = found.ledger.to_pandas()
    assert "proximity" not in ledger and set(ledger.example_id[ledger.near]) == set(ONE.example_ids[LOST]) - set(FORGET)
    found.save(tmp_path / "report")
    assert not verify(tmp_path / "report").differences


def test_a_column_of_a_file_or_of_values_makes_strata(tmp_path) -> None:
    half = np.where(np.arange(len(ONE)) % 2, "odd", "even")
    pq.write_table(pa.table({"example_id": ONE.example_ids.tolist(), "half": half}), tmp_path / "halves.parquet")
    by_half = NeighbourhoodConfig(strata="column", column="half")
    found = audited(neighbourhood=by_half, columns=tmp_path / "halves.parquet")
    assert [stratum.label for stratum in found.report.strata] == ["half = even", "half = odd"]
    found.save(tmp_path / "report")
    assert not verify(tmp_path / "report").differences
    rows = {"labels": ONE.labels, "example_ids": ONE.example_ids, "splits": ONE.splits}
    assert audited(neighbourhood=by_half, columns=half, **rows).report.strata == found.report.strata
    with pytest.raises(AuditError, match="Expected the column 'half'"):
        audited(neighbourhood=by_half)


def test_embeddings_that_were_given_are_not_the_original_s(tmp_path) -> None:
    space = made_up(0).embeddings
    pq.write_table(pa.table({"example_id": ONE.example_ids.tolist(), "embedding": list(space)}), tmp_path / "e.parquet")
    near = audited(embeddings=tmp_path / "e.parquet").report.neighbourhood
    assert near.embedding == "given by the user"
    assert near.description == "centroid proximity in an embedding given by the user; strata: 10 quantiles"
    named = NeighbourhoodConfig(embedding="pixels, 8 x 8", strata="same_class")
    near = audited(embeddings=tmp_path / "e.parquet", neighbourhood=named).report.neighbourhood
    assert near.embedding == "given by the user: pixels, 8 x 8"
    near = audited(original=made_up(52)).report.neighbourhood
    assert near.embedding == "original" and near.description.startswith("centroid proximity in the embedding of the or")


def test_where_classes_do_not_tell_who_is_near_embeddings_are_asked_for() -> None:
    with pytest.raises(AuditError, match="same_class` or of a column need none"):
        audited()
    with pytest.raises(AuditError, match="classes do not tell who is near"):
        audited(forget=ONE.example_ids[:30], neighbourhood=NeighbourhoodConfig(strata="same_class"))
