"""What the ledger says is remembered, against confidences computed from the files of predictions."""

import numpy as np
import pytest

from tests.reporting.audited import make_audited
from unlearn_audit.predictions import Predictions
from unlearn_audit.reporting.ledger import read_ledger


def confidences(path):
    found = Predictions.load(path)
    powers = np.exp(found.logits.astype(np.float64))
    shares = powers[np.arange(len(powers)), found.labels] / powers.sum(axis=1)
    return dict(zip(found.example_ids.tolist(), shares.tolist(), strict=True))


def test_remembered_is_confidence_beyond_the_references_on_the_forget_set_alone(tmp_path):
    audited = make_audited(tmp_path)
    ledger = read_ledger(audited.folder).to_pydict()
    retrained = [confidences(tmp_path / f"retrained-{k}.parquet") for k in (1, 2, 3)]
    for name in ("candidate", "original"):
        mine = confidences(tmp_path / f"{name}.parquet")
        rows = zip(ledger["example_id"], ledger["population"], ledger[f"{name}.remembered"], strict=True)
        told = {example: value for example, population, value in rows if population == "forget" or value is not None}
        expected = {example: mine[example] - sum(model[example] for model in retrained) / 3 for example in told}
        assert len(told) == len(audited.forget.ids) > 0
        assert told == pytest.approx(expected, abs=1e-5)
    assert not any(column.startswith("retrained") and column.endswith("remembered") for column in ledger)
