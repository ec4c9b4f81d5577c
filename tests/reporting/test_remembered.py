"""What the ledger says is remembered, against confidences computed from the files of predictions."""

import numpy as np
import pytest

from tests.reporting.audited import make_audited
from unlearn_audit.auditing.likelihood import likelihood_ratios
from unlearn_audit.predictions import Predictions
from unlearn_audit.reporting.ledger import read_ledger
from unlearn_audit.reporting.sections.remembered import likelihood_ratio
from unlearn_audit.reporting.tables import MINUS


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


def test_likelihood_ratios_are_those_of_the_margins_of_the_deleted_examples(tmp_path):
    audited = make_audited(tmp_path)
    ledger = read_ledger(audited.folder).to_pydict()
    told = dict(zip(ledger["example_id"], ledger["candidate.likelihood_ratio"], strict=True))
    deleted = [
        example for example, population in zip(told, ledger["population"], strict=True) if population == "forget"
    ]
    assert {example for example, value in told.items() if value is not None} == set(deleted)

    def margins(name):
        known = confidences(tmp_path / f"{name}.parquet")
        return np.array([np.log(known[example] / (1 - known[example])) for example in deleted])

    retrained = np.stack([margins(f"retrained-{k}") for k in (1, 2, 3)])
    expected = likelihood_ratios(margins("candidate"), margins("original")[None], retrained)
    assert [told[example] for example in deleted] == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-3)
    assert not any(column.startswith(("retrained", "original")) and "likelihood" in column for column in ledger)


@pytest.mark.parametrize(
    ("log", "written"),
    [(0, "1"), (1.5, "32"), (-1.5, "0.032"), (4, "10,000"), (7, "> 10^6"), (-7, f"< 10^{MINUS}6")],
)
def test_a_likelihood_ratio_is_written_as_a_number(log, written):
    assert likelihood_ratio(log) == written
