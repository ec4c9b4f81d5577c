"""Predictions as people hold them: tables in memory, JSON lines, log-probabilities, sums that are off by rounding."""

from __future__ import annotations

import json

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.made_up_audit import made_up
from unlearn_audit import Predictions, audit
from unlearn_audit.errors import PredictionsError
from unlearn_audit.predictions import open_predictions

FOUND = made_up(0)
COLUMNS = {
    "example_id": FOUND.example_ids.tolist(),
    "split": FOUND.splits.tolist(),
    "label": FOUND.labels.tolist(),
    "logits": FOUND.logits.tolist(),
    "embedding": FOUND.embeddings.tolist(),
}
TABLES = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "arrow": lambda: pa.table(COLUMNS),
    "datasets": lambda: datasets.Dataset.from_dict(COLUMNS),
}


def same(one: Predictions, other: Predictions) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("example_ids", "splits", "labels", "logits", "embeddings")
    )


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_in_memory_holds_predictions(kind: str) -> None:
    assert same(Predictions.of_table(TABLES[kind]()), FOUND)


def test_an_audit_takes_tables() -> None:
    others = [made_up(seed) for seed in (1, 2, 3)]
    options = {"forget": FOUND.example_ids[:50].tolist(), "original": made_up(9), "measures": ["js"]}
    from_table = audit(TABLES["polars"](), others, **options).report
    in_memory = audit(FOUND, others, **options).report
    assert from_table.results == in_memory.results


def test_json_lines_are_read(tmp_path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*COLUMNS.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert same(open_predictions(path), FOUND)
    path.write_text('{"example_id": "a"')
    with pytest.raises(PredictionsError, match="JSON lines"):
        open_predictions(path)


def test_log_probabilities_and_sums_off_by_rounding_say_the_same() -> None:
    probabilities = np.exp(FOUND.logits) / np.exp(FOUND.logits).sum(axis=1, keepdims=True)
    table = {name: values for name, values in COLUMNS.items() if name != "logits"}
    logs = Predictions.of_table(pd.DataFrame({**table, "log_probabilities": np.log(probabilities).tolist()}))
    rounded = Predictions.of_table(pd.DataFrame({**table, "probabilities": probabilities.round(3).tolist()}))
    for found, tolerance in ((logs, 1e-5), (rounded, 2e-3)):
        again = np.exp(found.logits) / np.exp(found.logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(again, probabilities, atol=tolerance)


def test_a_table_without_predictions_is_told() -> None:
    with pytest.raises(PredictionsError, match="expected a column `label`, found example_id, logits"):
        Predictions.of_table(pd.DataFrame({"example_id": ["a"], "logits": [[1.0, 2.0]]}))
    with pytest.raises(PredictionsError, match="no empty values in 'label'"):
        Predictions.of_table(pd.DataFrame({"example_id": ["a", "b"], "label": [0, None], "logits": [[1.0, 2.0]] * 2}))
