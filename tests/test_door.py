"""The front door: whatever form the inputs have, the audit is the same, and its folder is verified."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import unlearn_audit
from tests.made_up_audit import N_TRAIN, made_up, request_in
from unlearn_audit import AuditReport, Policy, audit, verify
from unlearn_audit.door import Audit
from unlearn_audit.errors import AuditError, ConfigurationError, PredictionsError
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.running import run_audit

ONE = made_up(0)
IS_FORGET = np.arange(len(ONE)) % 2 == 0
IS_FORGET &= (ONE.labels == 0) & (ONE.splits == "train")
FORGET = ONE.example_ids[IS_FORGET].tolist()
FOUR = NeighbourhoodConfig(number=4)


def retrained(number: int = 4) -> list[Predictions]:
    return [made_up(k) for k in range(number)]


def in_arrays(**changes) -> Audit:
    given = {
        "candidates": {"damaged": made_up(51, damage=4).logits},
        "references": [p.logits for p in retrained()],
        "forget": IS_FORGET,
        "labels": ONE.labels,
        "example_ids": ONE.example_ids,
        "splits": ONE.splits,
        "embeddings": ONE.embeddings,
        "neighbourhood": FOUR,
        "measures": ["js"],
    }
    return audit(**{**given, **changes})


def figures(report: AuditReport) -> dict:
    """Return what does not depend on where predictions came from."""
    found = json.loads(report.to_json())
    return {key: found[key] for key in ("results", "aggregate", "membership", "verdicts", "strata")}


@pytest.fixture(scope="module")
def made() -> Audit:
    return in_arrays()


def shuffled(predictions: Predictions, seed: int) -> Predictions:
    order = np.random.default_rng(seed).permutation(len(predictions))
    return Predictions(
        *(getattr(predictions, name)[order] for name in ("example_ids", "splits", "labels", "logits", "embeddings"))
    )


def test_damage_fails_and_the_audit_says_so_in_three_sentences(made) -> None:
    assert made.report.verdicts["damaged"].outcome == "fail"
    assert [model.name for model in made.report.by_role("reference")] == [f"retrained-{k}" for k in range(1, 5)]
    text = str(made)
    assert text == repr(made)
    assert f"1 candidate against 4 retrained models, on {N_TRAIN - len(FORGET)} retain, {len(FORGET)} forget" in text
    assert "damaged: fail. " in text and text.endswith("All controls behave as they should.")
    assert len(text) < 500


def test_predictions_in_any_order_and_files_give_the_same_audit(made, tmp_path) -> None:
    files = {}
    for name, predictions in {"damaged": made_up(51, damage=4), **dict(enumerate(retrained(), start=1))}.items():
        files[name] = tmp_path / f"retrained-{name}.parquet"
        predictions.save(files[name])
    damaged = files.pop("damaged")
    given = {"original": made_up(52), "forget": list(reversed(FORGET)), "neighbourhood": FOUR, "measures": ["js"]}
    in_memory = audit({"damaged": made_up(51, damage=4)}, retrained(), **given)
    same_rows = [shuffled(predictions, seed) for seed, predictions in enumerate(retrained()[1:])]
    out_of_order = audit({"damaged": shuffled(made_up(51, damage=4), 9)}, [made_up(0), *same_rows], **given)
    from_files = audit({"damaged": damaged}, list(files.values()), **given)
    assert figures(in_memory.report) == figures(from_files.report)
    for found in (out_of_order, from_files):
        assert found.ledger.equals(in_memory.ledger)
    assert figures(out_of_order.report)["results"] == figures(in_memory.report)["results"]
    ratios = [
        found.report.comparison("damaged", "retain", "js").nearest.ratio for found in (made, in_memory, out_of_order)
    ]
    assert ratios[0] == pytest.approx(ratios[1]) == pytest.approx(ratios[2])


def test_the_call_and_the_request_find_the_same(tmp_path) -> None:
    request = request_in(tmp_path)
    expected = run_audit(request, base=tmp_path)

    def files(names) -> dict[str, Path]:
        return {name: tmp_path / f"{name}.parquet" for name in names}

    found = audit(
        files(request.candidates),
        files(request.references),
        tmp_path / "forget.txt",
        original=tmp_path / "original.parquet",
        untrained=str(tmp_path / "untrained.parquet"),
        neighbourhood=request.neighbourhood,
    )
    assert figures(found.report) == figures(expected.report)
    assert found.report.forget_set == expected.report.forget_set
    assert found.ledger.equals(expected.ledger)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["embeddings", "proximities", "original"])
def test_a_saved_audit_is_verified_wherever_its_inputs_were(what, tmp_path) -> None:
    proximities = ONE.embeddings[:, 0].astype(np.float64)
    changes = {
        "embeddings": {"embeddings": ONE.embeddings.astype(np.float64)},
        "proximities": {"embeddings": None, "proximities": proximities},
        "original": {"embeddings": None, "original": made_up(52)},
    }[what]
    (tmp_path / "given").mkdir()
    made_up(3).save(tmp_path / "given" / "last.parquet")
    references = {"a/b": made_up(0).logits.astype(np.float64), "a b": made_up(1), "c": made_up(2)}
    references["last"] = tmp_path / "given" / "last.parquet"
    seeds = [made_up(seed, damage=4) for seed in (51, 54)]
    found = in_arrays(candidates={"damaged": seeds}, references=references, **changes)
    folder = found.save(tmp_path / "report")
    assert found.save(folder) == folder
    checked = verify(folder)
    assert checked.differences == () and checked.figures > 500
    assert (folder / "report.html").is_file()
    assert len(list((folder / "predictions").iterdir())) == (6 if what == "original" else 5)
    assert str(tmp_path) not in (folder / "manifest.json").read_text(encoding="utf-8")
    assert AuditReport.load(folder) == found.report


def test_an_audit_is_not_saved_over_what_somebody_else_wrote(made, tmp_path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"holds README\.md"):
        made.save(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("README.md", "mine")]


def test_whatever_models_are_called_all_their_files_are_in_the_folder(tmp_path) -> None:
    candidates = {"../../up": made_up(50), "user/ltd": made_up(51, damage=4)}
    folder = in_arrays(candidates=candidates).save(tmp_path / "deep" / "report")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report"]
    assert {path.name for path in (folder / "cards").iterdir()} == {"model--up.md", "model-user-ltd.md"}
    assert verify(folder).differences == ()


def test_a_notebook_shows_verdicts_without_trusting_names() -> None:
    html = in_arrays(candidates={"<script>alert(1)</script>": made_up(50).logits}, title="<b>")._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html and "&lt;b&gt;" in html
    assert len(html) < 2000


def test_a_table_has_a_row_for_each_model_population_and_stratum(made) -> None:
    table = made.to_pandas()
    assert len(table) == len(made.report.models) * 3 * 4
    row = table.query("model == 'damaged' and population == 'retain' and stratum == 0").iloc[0]
    ledger = made.ledger.to_pandas().query("population == 'retain' and stratum == 0")
    assert row["role"] == "candidate" and row["count"] == len(ledger)
    assert row["discrepancy"] == pytest.approx(ledger["damaged.discrepancy"].mean(), rel=1e-4)
    assert row["label"] == made.report.strata[0].label


def test_forget_sets_come_in_every_form(made, tmp_path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(FORGET), encoding="utf-8")
    named = Forgotten(tuple(FORGET), "half of class 0", "abc")
    for forget in (FORGET, np.array(FORGET), tmp_path / "ids.txt", str(tmp_path / "ids.txt")):
        assert in_arrays(forget=forget).report.forget_set == made.report.forget_set
    found = in_arrays(forget=named).report.forget_set
    assert (found.description, found.hash, found.size) == ("half of class 0", "abc", len(FORGET))


def test_rows_are_numbered_where_no_ids_are_given() -> None:
    numbers = np.flatnonzero(IS_FORGET)
    found = in_arrays(example_ids=None, forget=numbers)
    assert found.report.forget_set.size == len(numbers)
    assert found.ledger["example_id"].to_pylist() == [str(i) for i in range(len(ONE))]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": None}, PredictionsError, "`labels`"),
        ({"labels": None, "example_ids": None, "splits": None}, PredictionsError, "damaged: arrays of logits need"),
        ({"labels": ONE.labels.astype(float)}, PredictionsError, "whole numbers"),
        ({"labels": ONE.labels[1:]}, PredictionsError, "as many ids as splits and labels"),
        ({"candidates": {"u": 3}}, PredictionsError, "u: expected Predictions, a table, an array of logits .* got int"),
        ({"candidates": {"u": np.zeros(5)}}, PredictionsError, r"u: expected logits of shape \(n, c\), got \(5,\)"),
        ({"candidates": {}}, AuditError, "at least one candidate"),
        ({"forget": IS_FORGET[1:]}, AuditError, "mask of 800 rows"),
        ({"forget": 3}, AuditError, "Expected ids of the forget set"),
        ({"forget": ["nobody"]}, AuditError, "nobody"),
        ({"embeddings": ONE.embeddings[1:]}, AuditError, r"embeddings of shape \(800, d\)"),
        ({"embeddings": None}, AuditError, "Expected embeddings"),
        ({"measures": ["jss"]}, ConfigurationError, "Did you mean 'js'"),
        ({"policy": Policy(measure="jss")}, ConfigurationError, "Did you mean 'js'"),
    ],
)
def test_what_cannot_be_audited_is_refused_with_what_is_wrong(changes, error, message) -> None:
    with pytest.raises(error, match=message):
        in_arrays(**changes)


def test_files_of_one_name_need_names(tmp_path) -> None:
    paths = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        paths.append(tmp_path / str(seed) / "model.parquet")
        made_up(seed).save(paths[-1])
    with pytest.raises(ConfigurationError, match="'model' twice"):
        in_arrays(references=paths)


def test_dir_shows_the_public_names_alone() -> None:
    assert dir(unlearn_audit) == unlearn_audit.__all__
    assert 10 <= len(unlearn_audit.__all__) <= 16
    assert all(getattr(unlearn_audit, name).__doc__ for name in unlearn_audit.__all__)
