"""Predictions by a function of rows, streamed or not; multi-label models as a model for each output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from unlearn_audit.errors import ModelError, PredictionsError
from unlearn_audit.models import joined, per_output, predict_rows

ROWS = [{"id": f"r{i}", "x": [float(i), 1.0], "label": i % 2} for i in range(10)]


def linear(batch):
    x = torch.tensor([row["x"] for row in batch], requires_grad=True)
    return x * torch.tensor([1.0, -2.0]), x


@pytest.mark.parametrize("kind", ["list", "Dataset", "streamed"])
def test_rows_may_be_a_list_a_data_set_or_a_stream(kind: str) -> None:
    rows = {"list": ROWS, "Dataset": Dataset.from_list(ROWS), "streamed": Dataset.from_list(ROWS).to_iterable_dataset()}
    sizes = []

    def counted(batch):
        sizes.append(len(batch))
        return linear(batch)

    found = predict_rows(counted, rows[kind], split="test", batch_size=4, model_id="mine")
    assert sizes == [4, 4, 2]
    assert found.example_ids.tolist() == [row["id"] for row in ROWS] and set(found.splits) == {"test"}
    np.testing.assert_array_equal(found.logits, [[i, -2] for i in range(10)])
    np.testing.assert_array_equal(found.embeddings, [row["x"] for row in ROWS])
    assert found.metadata["model_id"] == "mine"


def test_splits_are_put_together() -> None:
    parts = [predict_rows(linear, ROWS[:6]), predict_rows(linear, ROWS[6:], split="test")]
    whole = joined(*parts)
    assert len(whole) == 10 and (whole.splits == "test").sum() == 4
    with pytest.raises(PredictionsError, match="each example_id once"):
        joined(parts[0], parts[0])


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ModelError, match="column 'name'"):
        predict_rows(linear, ROWS, id_column="name")
    with pytest.raises(ModelError, match=r"shape \(10, …\)"):
        predict_rows(lambda batch: np.zeros(len(batch)), ROWS)
    with pytest.raises(ModelError, match="at least one row"):
        predict_rows(linear, [])
    with pytest.raises(ModelError, match="with L names"):
        per_output(np.zeros((3, 2)), np.zeros((3, 2)), example_ids=list("abc"), splits=["train"] * 3, names=["one"])


def test_an_output_says_yes_with_the_sigmoid_of_its_logit() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 2)), rng.integers(0, 2, (6, 2))
    found = per_output(logits, labels, example_ids=list("abcdef"), splits=["train"] * 6, names=["p", "q"])
    for place, name in enumerate("pq"):
        odds = np.exp(found[name].logits)
        np.testing.assert_allclose(odds[:, 1] / odds.sum(axis=1), 1 / (1 + np.exp(-logits[:, place])), rtol=1e-5)
        np.testing.assert_array_equal(found[name].labels, labels[:, place])
