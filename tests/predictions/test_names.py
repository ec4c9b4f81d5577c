"""Files of somebody else's: other names of columns, splits and classes, and probabilities as rounding leaves them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import C, made_up
from unlearn_audit import AuditReport, audit, load_images, verify
from unlearn_audit.errors import ConfigurationError, PredictionsError
from unlearn_audit.experiment.foreign import on_the_data
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import Predictions, open_predictions
from unlearn_audit.predictions.names import Names

FOUND = dataclasses.replace(made_up(1), embeddings=None)
CLASSES = tuple(f"class-{label}" for label in range(C))
THEIRS = Names(
    columns={"example_id": "key", "label": "target", "logits": "scores", "split": "part"},
    splits={"training": "train", "validation": "test"},
    classes=CLASSES,
)
COLUMNS = {
    "key": FOUND.example_ids.tolist(),
    "part": np.where(FOUND.splits == "train", "training", "validation").tolist(),
    "target": [CLASSES[label] for label in FOUND.labels],
}


def write(path, suffix: str):
    """Write the predictions under other names, and return the file."""
    file = path / f"theirs.{suffix}"
    frame = pd.DataFrame({**COLUMNS, "scores": FOUND.logits.tolist()})
    numbered = {f"scores_{place}": FOUND.logits[:, place] for place in range(C)}
    if suffix == "parquet":
        frame.to_parquet(file)
    elif suffix == "jsonl":
        frame.to_json(file, orient="records", lines=True, double_precision=15)
    elif suffix == "csv":
        pd.DataFrame({**COLUMNS, **numbered}).to_csv(file, index=False)
    else:
        np.savez(file, **COLUMNS, scores=FOUND.logits)
    return file


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "npz"])
def test_other_names_are_read_in_every_format(suffix: str, tmp_path) -> None:
    file = write(tmp_path, suffix)
    with pytest.raises(PredictionsError, match=r"a column `example_id`, found .*key.*names\.columns\.example_id=NAME"):
        open_predictions(file)
    found = open_predictions(file, THEIRS)
    for name in ("example_ids", "splits", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(FOUND, name))
    np.testing.assert_allclose(np.concatenate(list(found.logit_chunks(300))), FOUND.logits, rtol=1e-6)


def test_what_is_left_unmapped_is_told_with_what_to_say(tmp_path) -> None:
    file = write(tmp_path, "parquet")
    for wrong, message in {
        "splits": r"got 'training'.*names\.splits\.NAME=test",
        "classes": r"got text such as 'class-\d'.*names\.classes",
    }.items():
        with pytest.raises(PredictionsError, match=message):
            open_predictions(file, dataclasses.replace(THEIRS, **{wrong: type(getattr(THEIRS, wrong))()}))
    with pytest.raises(PredictionsError, match=r"got 'class-4'"):
        open_predictions(file, dataclasses.replace(THEIRS, classes=CLASSES[:4]))
    for names, message in (
        ({"columns": {"logit": "x"}}, "no column 'logit'.*Did you mean 'logits'"),
        ({"splits": {"val": "tset"}}, "expected train or test, got 'tset'"),
        ({"classes": ("a", "a")}, "each class once"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Names(**names)


@pytest.mark.slow
def test_the_command_takes_names_and_verify_knows_them(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "parquet")
    for seed in (2, 3, 4):
        made_up(seed).save(tmp_path / f"r{seed}.parquet")  # under our own names
    (tmp_path / "forget.txt").write_text("\n".join(FOUND.example_ids[FOUND.labels == 0][:40]))
    sets = [
        *(f"names.columns.{ours}={theirs}" for ours, theirs in THEIRS.columns.items()),
        *(f"names.splits.{theirs}={ours}" for theirs, ours in THEIRS.splits.items()),
        f"names.classes=[{', '.join(CLASSES)}]",
        *("measures=[js]", "neighbourhood.strata=same_class"),
    ]
    line = ["audit", "--candidate", "theirs.parquet", "--forget", "forget.txt"]
    line += [part for seed in (2, 3, 4) for part in ("--reference", f"r{seed}.parquet")]
    shown = CliRunner().invoke(app, [*line, *(part for text in sets for part in ("--set", text))])
    assert shown.exit_code == 0, shown.exception
    assert AuditReport.load("report").data.class_names == CLASSES
    assert not verify("report").differences


def test_a_file_of_embeddings_without_them_is_told(tmp_path) -> None:
    pd.DataFrame({"example_id": FOUND.example_ids, "vector": made_up(1).embeddings.tolist()}).to_parquet(
        tmp_path / "e.parquet"
    )
    given = {"references": [made_up(seed) for seed in (2, 3, 4)], "forget": FOUND.example_ids[:50], "measures": ["js"]}
    with pytest.raises(Exception, match=r"a column `embedding`, found example_id, vector.*names\.columns\.embedding"):
        audit(FOUND, **given, original=made_up(9), embeddings=tmp_path / "e.parquet")
    named = Names(columns={"embedding": "vector"})
    found = audit(FOUND, **given, original=made_up(9), embeddings=tmp_path / "e.parquet", names=named)
    assert found.report.neighbourhood.embedding == "given by the user"


def test_outputs_in_another_order_of_classes_come_into_the_data_s() -> None:
    data = load_images("digits")
    ids = np.concatenate([data.train.ids, data.test.ids])
    labels = np.concatenate([data.train.labels, data.test.labels])
    logits = np.random.default_rng(0).normal(size=(len(ids), 10)).astype(np.float32)
    order = np.random.default_rng(1).permutation(10)  # the class that each output of theirs stands for
    theirs = Predictions(ids, np.full(len(ids), "train"), np.argsort(order)[labels], logits[:, order])
    found = on_the_data(theirs, data, classes=[str(label) for label in order])
    np.testing.assert_array_equal(found.logits, logits)
    np.testing.assert_array_equal(found.labels, labels)
    with pytest.raises(PredictionsError, match=r"10 classes of the data, got 10, with '0' in one of both alone"):
        on_the_data(theirs, data, classes=[f"x{label}" for label in order])


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_probabilities_that_rounding_left_are_normalised_and_it_is_said(suffix: str, tmp_path) -> None:
    probabilities = np.exp(FOUND.logits) / np.exp(FOUND.logits).sum(axis=1, keepdims=True)
    columns = {"example_id": FOUND.example_ids, "split": FOUND.splits, "label": FOUND.labels}
    rounded = probabilities.round(3)
    numbered = {f"probability_{place}": rounded[:, place] for place in range(C)}
    if suffix == "csv":
        pd.DataFrame({**columns, **numbered}).to_csv(tmp_path / "rounded.csv", index=False)
    else:
        pd.DataFrame({**columns, "probabilities": rounded.tolist()}).to_parquet(tmp_path / "rounded.parquet")
    given = {
        "references": [made_up(seed) for seed in (2, 3, 4)],
        "forget": FOUND.example_ids[FOUND.labels == 0][:40],
        "measures": ["js"],
        "neighbourhood": NeighbourhoodConfig(strata="same_class"),
    }
    found = audit(tmp_path / f"rounded.{suffix}", **given)
    gap = np.abs(rounded.sum(axis=1) - 1).max()
    (note,) = (note for note in found.report.controls.notes if "normalised" in note)
    assert f"rounded sum to 1 only within {gap:.1g}" in note
    exact = rounded / rounded.sum(axis=1, keepdims=True)
    again = audit(dataclasses.replace(FOUND, logits=np.log(np.maximum(exact, 1e-38)).astype(np.float32)), **given)
    assert not any("normalised" in note for note in again.report.controls.notes)
    mine, other = (each.report.aggregate["candidate" if each is again else "rounded"] for each in (found, again))
    assert mine.forget_accuracy == other.forget_accuracy
    np.testing.assert_allclose(
        found.ledger["rounded.confidence"].to_numpy(), again.ledger["candidate.confidence"].to_numpy(), atol=1e-6
    )


def test_logarithms_may_be_minus_infinity_and_must_be_of_probabilities() -> None:
    table = {"example_id": ["a", "b"], "label": [0, 1]}
    logs = [[0.0, -np.inf], [np.log(0.25), np.log(0.75)]]
    found = Predictions.of_table(pd.DataFrame({**table, "log_probabilities": logs}))
    assert found.logits[0, 1] < -80 and np.isfinite(found.logits).all()
    with pytest.raises(PredictionsError, match="logarithms of probabilities that sum to 1"):
        Predictions.of_table(pd.DataFrame({**table, "log_probabilities": [[1.0, 2.0], [3.0, 4.0]]}))
