"""Predictions as files: round trips, other frameworks' files, and errors that name the file and the ids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unlearn_audit.errors import PredictionsError
from unlearn_audit.predictions import Predictions, PredictionsFile, matching_rows, open_predictions
from unlearn_audit.predictions.parquet import _READ_BUFFER

N, C = 9, 4


def predictions(**changes) -> Predictions:
    rng = np.random.default_rng(0)
    values = {
        "example_ids": np.array([f"train-{i}" for i in range(6)] + [f"test-{i}" for i in range(3)]),
        "splits": np.array(["train"] * 6 + ["test"] * 3),
        "labels": rng.integers(0, C, N),
        "logits": rng.normal(size=(N, C)).astype(np.float32),
        "embeddings": rng.normal(size=(N, 5)).astype(np.float32),
        "metadata": {"model_id": "m", "data_fingerprint": "f"},
    }
    return Predictions(**{**values, **changes})


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_round_trip(tmp_path, kind) -> None:
    saved = predictions(logits=predictions().logits.astype(kind))
    saved.save(tmp_path / "p.parquet")
    loaded = Predictions.load(tmp_path / "p.parquet")
    for name in ("example_ids", "splits", "labels", "logits", "embeddings"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    assert loaded.logits.dtype == kind
    assert loaded.metadata == saved.metadata
    assert [p.name for p in tmp_path.iterdir()] == ["p.parquet"]


def test_probabilities_of_another_framework(tmp_path) -> None:
    probabilities = [[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]
    table = pa.table({"example_id": [7, 8], "label": pa.array([0, 2], pa.int32()), "probabilities": probabilities})
    pq.write_table(table, tmp_path / "p.parquet")
    loaded = Predictions.load(tmp_path / "p.parquet")
    assert loaded.example_ids.tolist() == ["7", "8"]
    assert loaded.splits.tolist() == ["train", "train"]
    np.testing.assert_allclose(np.exp(loaded.logits), probabilities, rtol=1e-6, atol=1e-30)
    assert np.isfinite(loaded.logits).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1]}, "expected a column `example_id`"),
        ({"example_id": ["a", "b"], "label": [0, 1]}, "`logits` or `probabilities`"),
        ({"example_id": ["a", "a"], "label": [0, 1], "logits": [[0.0, 1.0]] * 2}, "once.*: a"),
        (
            {"example_id": ["a", "b"], "label": [0, 2], "logits": [[0.0, 1.0]] * 2},
            r"labels in \[0, 2\), got 2 at b",
        ),
        (
            {"example_id": ["a", "b"], "label": [0, 0], "logits": [[0.0], [1.0, 2.0]]},
            "lists of one length|2 classes",
        ),
        (
            {"example_id": ["a", "b"], "label": [0, 1], "logits": [[0.0, 1.0], [np.nan, 1.0]]},
            "NaN or infinity at b",
        ),
        (
            {"example_id": ["a", "b"], "label": [0, 1], "logits": [[0.0, np.inf], [0.0, 1.0]]},
            "NaN or infinity at a",
        ),
        (
            {"example_id": ["a", "b"], "label": [0, 1], "probabilities": [[2.0, -1.0], [0.0, 1.0]]},
            "sum to 1.*at a",
        ),
        ({"example_id": ["a", "b"], "label": [0, 1], "logits": ["x", "y"]}, "lists of numbers"),
        (
            {"example_id": ["a", None], "label": [0, 1], "logits": [[0.0, 1.0]] * 2},
            "no empty values in 'example_id'",
        ),
        (
            {
                "example_id": ["a", "b"],
                "label": [0, 1],
                "split": ["train", "dev"],
                "logits": [[0.0, 1.0]] * 2,
            },
            "'dev' at b",
        ),
    ],
)
def test_bad_files_are_named_with_their_ids(tmp_path, columns, message) -> None:
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(PredictionsError, match=message) as caught:
        Predictions.load(tmp_path / "bad.parquet")
    assert "bad.parquet" in str(caught.value)


def test_no_parquet(tmp_path) -> None:
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(PredictionsError, match="Parquet"):
        PredictionsFile(tmp_path / "x.parquet")
    with pytest.raises(PredictionsError, match="Parquet"):
        PredictionsFile(tmp_path / "absent.parquet")


def test_rows_are_matched_by_id() -> None:
    mine, order = predictions(), np.random.default_rng(1).permutation(N)
    other = predictions(
        **{n: getattr(mine, n)[order] for n in ("example_ids", "splits", "labels", "logits")}, embeddings=None
    )
    rows = matching_rows(mine, other)
    np.testing.assert_array_equal(other.logits[rows], mine.logits)
    assert matching_rows(mine, predictions()) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: {"example_ids": np.array([*p.example_ids[:-1], "test-99"])},
            "1 are missing.*test-2.*1 are foreign.*test-99",
        ),
        (lambda p: {"labels": (p.labels + (np.arange(N) == 4)) % C}, "same labels.*train-4"),
        (lambda p: {"splits": np.where(np.arange(N) == 8, "train", p.splits)}, "same splits.*test-2"),
        (lambda p: {"logits": np.zeros((N, C + 1), np.float32)}, "4 classes"),
    ],
)
def test_mismatches_are_refused(change, message) -> None:
    with pytest.raises(PredictionsError, match=message):
        matching_rows(predictions(), predictions(**change(predictions()), name="other"))


@pytest.mark.parametrize("row_group", [2048, 8192])
def test_a_file_is_streamed_a_row_group_at_a_time(tmp_path, row_group) -> None:
    n, c = 32_768, 64
    logits = np.random.default_rng(0).normal(size=n * c).astype(np.float32)
    table = {
        "example_id": np.arange(n),
        "label": np.zeros(n, int),
        "logits": pa.FixedSizeListArray.from_arrays(logits, c),
    }
    pq.write_table(pa.table(table), tmp_path / "p.parquet", row_group_size=row_group, use_dictionary=False)
    del table
    before = pa.total_allocated_bytes()
    source = PredictionsFile(tmp_path / "p.parquet")
    held = [pa.total_allocated_bytes() - before for _ in source.logit_chunks(512)]
    assert len(held) == n // 512
    assert max(held) < 1.5 * row_group * c * 4 + _READ_BUFFER


def test_a_damaged_file_is_refused_by_name(tmp_path) -> None:
    path = tmp_path / "model.parquet"
    rng = np.random.default_rng(0)
    ids = np.array([f"train-{i}" for i in range(300)])
    Predictions(ids, np.full(300, "train"), rng.integers(0, 4, 300), rng.normal(size=(300, 4)).astype("f4")).save(path)
    content, refused = path.read_bytes(), 0
    for place in rng.integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            Predictions.load(path)
        except PredictionsError as error:  # and no other error
            refused += 1
            assert "model.parquet" in str(error)
    assert refused > 10


def as_csv(path, found: Predictions, *, kind: str = "logit", values=None, header: dict[str, str] | None = None) -> None:
    """Write the columns as text, one line an example; `header` renames columns."""
    values = found.logits if values is None else values
    names = ["example_id", "label", "split", *(f"{kind}_{i}" for i in range(C)), *(f"embedding_{i}" for i in range(5))]
    rows = zip(found.example_ids, found.labels, found.splits, values, found.embeddings, strict=True)
    lines = [",".join((header or {}).get(name, name) for name in names)]
    lines += [",".join([i, str(y), s, *map(repr, map(float, v)), *map(repr, map(float, e))]) for i, y, s, v, e in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_npz(path, found: Predictions, **changes) -> None:
    arrays = {
        "example_id": found.example_ids,
        "label": found.labels,
        "split": found.splits,
        "logits": found.logits,
        "embedding": found.embeddings,
    }
    arrays = {name: value for name, value in {**arrays, **changes}.items() if value is not None}
    np.savez(path, **arrays)


@pytest.mark.parametrize("suffix", ["parquet", "npz", "csv"])
def test_every_format_holds_the_same_predictions(tmp_path, suffix) -> None:
    expected, path = predictions(), tmp_path / f"model.{suffix}"
    {"parquet": lambda p, f: f.save(p), "npz": as_npz, "csv": as_csv}[suffix](path, expected)
    for found in (Predictions.load(path), open_predictions(path)):
        for name in ("example_ids", "splits", "labels"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(np.concatenate(list(found.logit_chunks(4))), expected.logits)
        np.testing.assert_array_equal(found.load_embeddings(), expected.embeddings)
        assert found.name == path.name
        assert matching_rows(expected, found) is None


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_probabilities_of_other_formats_become_logits(tmp_path, suffix) -> None:
    path = tmp_path / f"model.{suffix}"
    probabilities = np.full((N, C), 1 / C)
    probabilities[0] = [1, 0, 0, 0]
    if suffix == "npz":
        as_npz(path, predictions(), logits=None, probabilities=probabilities, split=None)
    else:
        as_csv(path, predictions(), kind="probability", values=probabilities)
    found = Predictions.load(path)
    np.testing.assert_allclose(np.exp(found.logits), probabilities, rtol=1e-6, atol=1e-30)
    assert np.isfinite(found.logits).all()
    assert (set(found.splits.tolist()) == {"train"}) == (suffix == "npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"example_id": None}, "expected a column `example_id`, found"),
        ({"logits": None}, "expected a column `logits` or `probabilities`"),
        ({"label": np.full(N, 0.5)}, "whole numbers in 'label'"),
        ({"label": np.full(N, C)}, r"labels in \[0, 4\)"),
        ({"logits": np.zeros(N)}, r"table of numbers \(n, m\) for 'logits'"),
        ({"logits": np.full((N, C), np.nan)}, "NaN or infinity at train-0"),
        ({"logits": None, "probabilities": np.full((N, C), 1.0)}, "sum to 1.*train-0"),
        ({"logits": np.zeros((N - 1, C))}, "expected logits of shape"),
        ({"split": np.full(N, "dev")}, "'dev' at train-0"),
        ({"example_id": np.array([{"pickled": True}] * N, dtype=object)}, "numpy.savez.*allow_pickle"),
    ],
)
def test_bad_archives_are_refused_by_name(tmp_path, changes, message) -> None:
    as_npz(tmp_path / "bad.npz", predictions(), **changes)
    with pytest.raises(PredictionsError, match=message) as caught:
        Predictions.load(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"logit_2": "logit_9"}, "logit_0 to logit_3, found no logit_2"),
        ({"label": "class"}, "expected a column `label`, found"),
        ({f"logit_{i}": f"score_{i}" for i in range(C)}, r"logit_0, … or probability_0.*names\.columns\.logits=NAME"),
    ],
)
def test_bad_tables_are_refused_by_name(tmp_path, header, message) -> None:
    as_csv(tmp_path / "bad.csv", predictions(), header=header)
    with pytest.raises(PredictionsError, match=message) as caught:
        Predictions.load(tmp_path / "bad.csv")
    assert "bad.csv" in str(caught.value)


@pytest.mark.parametrize("name", ["x.npz", "x.csv"])
def test_files_that_are_something_else_or_absent(tmp_path, name) -> None:
    with pytest.raises(PredictionsError, match=name):
        Predictions.load(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x00\xff,\n1")
    with pytest.raises(PredictionsError, match=name):
        Predictions.load(tmp_path / name)
    with (tmp_path / "x.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(PredictionsError, match="single array"):
        Predictions.load(tmp_path / "x.npz")


def test_a_table_with_empty_values_is_refused(tmp_path) -> None:
    (tmp_path / "p.csv").write_text("example_id,label,logit_0,logit_1\na,0,1.0,2.0\nb,1,,2.0\n", encoding="utf-8")
    with pytest.raises(PredictionsError, match="no empty values in 'logit_0'"):
        Predictions.load(tmp_path / "p.csv")
