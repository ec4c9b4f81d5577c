"""Files of predictions that are damaged, made to hurt, or of types that only a guess would make numbers of."""

from __future__ import annotations

import datetime as dt
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.deadline import within
from unlearn_audit import bounded
from unlearn_audit.errors import PredictionsError, UnlearnAuditError
from unlearn_audit.predictions import open_predictions
from unlearn_audit.saved.forgotten import Forgotten

N, C = 8, 3
DAY = dt.date(2020, 1, 1)
IDS, LABELS = [f"i{k}" for k in range(N)], [k % C for k in range(N)]
LOGITS = pa.array([[0.1 * k, 0.2, 0.3] for k in range(N)], pa.list_(pa.float32()))


def each(values, kind) -> pa.Array:
    return pa.array([values] * N, pa.list_(kind))


def same(value, kind=None) -> pa.Array:
    return pa.array([value] * N, kind)


WRONG = {
    "logits": {
        "dates": each([DAY] * C, pa.date32()),
        "times": each([dt.datetime(2020, 1, 1)] * C, pa.timestamp("us")),
        "durations": each([dt.timedelta(1)] * C, pa.duration("us")),
        "digits as text": each(["1", "2", "3"], pa.string()),
        "booleans": each([True, False, True], pa.bool_()),
        "bytes": each([b"a"] * C, pa.binary()),
        "decimals": each([1, 2, 3], pa.decimal128(5, 1)),
        "one class": each([1.0], pa.float32()),
        "no class": each([], pa.float32()),
        "structs": same({"a": 1}),
        "maps": same([("a", 1)], pa.map_(pa.string(), pa.int32())),
        "nested": same([[1.0], [2.0]]),
        "single numbers": same(1.0),
        "nothing": pa.nulls(N),
        "infinity": each([1e300, 0, 0], pa.float64()),
    },
    "label": {
        "text": same("0"),
        "booleans": same(True),
        "fractions": same(0.5),
        "dates": same(DAY),
        "times": same(dt.datetime(1970, 1, 1), pa.timestamp("us")),
        "lists": same([1]),
        "too large": same(2**64 - 1, pa.uint64()),
        "nothing": pa.nulls(N),
    },
    "example_id": {
        "structs": pa.array([{"a": k} for k in range(N)]),
        "fractions": pa.array([k + 0.5 for k in range(N)]),
        "dates": pa.array([DAY + dt.timedelta(k) for k in range(N)]),
        "bytes": pa.array([bytes([255, k]) for k in range(N)]),
        "empty": pa.array(["", *IDS[1:]]),
        "endless": pa.array(["x" * 10**6, *IDS[1:]]),
        "no print": pa.array(["a\0b", *IDS[1:]]),
        "escapes": pa.array(["\x1b[31m", *IDS[1:]]),
        "twice": pa.array([IDS[1], *IDS[1:]]),
    },
    "split": {"numbers": same(1), "lists": same(["train"]), "bytes": same(b"\xff"), "another": same("TRAIN")},
    "embedding": {"text": each(["a"], pa.string()), "dates": each([DAY], pa.date32()), "none": each([], pa.float32())},
    "probabilities": {"beside logits": each([0.2, 0.3, 0.5], pa.float32())},
}
CASES = [(column, what) for column, kinds in WRONG.items() for what in kinds]


def table(**columns) -> pa.Table:
    return pa.table({"example_id": pa.array(IDS), "label": pa.array(LABELS), "logits": LOGITS, **columns})


def read(path: Path) -> None:
    with within(5):
        source = open_predictions(path)
        list(source.logit_chunks(4))
        source.load_embeddings()


def refused(path: Path) -> str:
    with pytest.raises(PredictionsError) as error:
        read(path)
    assert 0 < len(str(error.value)) < 2000
    return str(error.value)


@pytest.mark.parametrize(("column", "what"), CASES)
def test_a_column_of_another_kind_is_refused(tmp_path, column, what) -> None:
    pq.write_table(table(**{column: WRONG[column][what]}), tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    "columns",
    [
        {"logits": each([1, 2, 3], pa.int32())},
        {"logits": each([1, 2, 3], pa.float64())},
        {"example_id": pa.array(range(N))},
        {"example_id": pa.array(IDS).dictionary_encode(), "label": pa.array(LABELS, pa.uint8())},
    ],
)
def test_a_column_that_holds_the_same_otherwise_is_read(tmp_path, columns) -> None:
    pq.write_table(table(**columns), tmp_path / "x.parquet")
    read(tmp_path / "x.parquet")


@pytest.mark.parametrize("column", ["example_id", "label", "logits"])
def test_a_column_twice_is_refused(tmp_path, column) -> None:
    found = table()
    pq.write_table(found.append_column(column, found.column(column)), tmp_path / "x.parquet")
    assert column in refused(tmp_path / "x.parquet")


@pytest.mark.parametrize("suffix", ["parquet", "npz", "csv"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, suffix) -> None:
    os.mkfifo(tmp_path / f"pipe.{suffix}")
    (tmp_path / f"folder.{suffix}").mkdir()
    (tmp_path / f"empty.{suffix}").touch()
    (tmp_path / f"noise.{suffix}").write_bytes(np.random.default_rng(0).bytes(3000))
    for name in ("pipe", "folder", "empty", "noise", "missing"):
        refused(tmp_path / f"{name}.{suffix}")


def test_a_file_that_says_it_is_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch) -> None:
    pq.write_table(table(), tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", example_id=IDS, label=LABELS, logits=np.ones((N, C)))
    (tmp_path / "x.csv").write_text("example_id,label,logit_0,logit_1\na,0,1,2\n")
    monkeypatch.setattr(bounded, "MEMORY_SHARE", 1e-12)
    for suffix in ("parquet", "npz", "csv"):
        assert "GiB of memory are free" in refused(tmp_path / f"x.{suffix}")


def test_an_archive_whose_header_promises_more_than_it_holds_is_refused(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, values in {"example_id": np.array(IDS), "label": np.array(LABELS)}.items():
            content = io.BytesIO()
            np.save(content, values)
            archive.writestr(f"{name}.npy", content.getvalue())
        header = io.BytesIO()
        shape = {"descr": "<f4", "fortran_order": False, "shape": (10**13, 3)}
        np.lib.format.write_array_header_1_0(header, shape)
        archive.writestr("logits.npy", header.getvalue() + bytes(1000))
    refused(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "arrays",
    [
        {"logits": np.full((N, C), np.datetime64("2020-01-01"))},
        {"logits": np.full((N, C), "1")},
        {"logits": np.ones((N, C), complex)},
        {"logits": np.ones((N, 1)), "label": np.zeros(N, int)},
        {"example_id": np.array([IDS, IDS]).T},
        {"example_id": np.array([{1: 2}] * N, object)},
        {"example_id": np.zeros(N, [("a", int)])},
        {"label": np.array(3)},
        {"label": np.full(N, 2**64 - 1, np.uint64)},
        {"split": np.array(["train"])},
        {"embedding": np.ones((3, 2))},
    ],
)
def test_an_archive_of_other_arrays_is_refused(tmp_path, arrays) -> None:
    right = {"example_id": np.array(IDS), "label": np.array(LABELS), "logits": np.ones((N, C))}
    np.savez(tmp_path / "x.npz", **{**right, **arrays})
    refused(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "text",
    [
        "example_id,label,logit_0,logit_0,logit_1\na,0,1,2,3\n",
        "example_id,label,label,logit_0,logit_1\na,0,1,1,2\n",
        "example_id,label,logit_0,logit_1,logit_01\na,0,1,2,3\n",
        "example_id,label,logit_0,logit_1\na,0,2020-01-01,2020-01-02\n",
        "example_id,label,logit_0,logit_1\na,0,true,false\n",
        "example_id,label,logit_0\na,0,1\n",
        "example_id,label,logit_99999999999\na,0,1\n",
        "example_id,label,logit_0,logit_1\na,2020-01-01,1,2\n",
        "example_id,label,logit_0,logit_1\n",
    ],
)
def test_a_csv_of_other_columns_is_refused(tmp_path, text) -> None:
    (tmp_path / "x.csv").write_text(text)
    refused(tmp_path / "x.csv")


@pytest.mark.parametrize("content", [b"example_id,label,logit_0,logit_\xe5\na,0,1,2\n", b"\xff\xfe,label\na,0\n"])
def test_a_csv_whose_columns_are_named_by_no_unicode_is_refused(tmp_path, content) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    assert "utf-8" in refused(tmp_path / "x.csv")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """One right file in each format, as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    pq.write_table(table(), folder / "x.parquet")
    np.savez_compressed(folder / "x.npz", example_id=IDS, label=LABELS, logits=np.ones((N, C)))
    (folder / "x.csv").write_text("example_id,label,logit_0,logit_1\na,0,1,2\nb,1,3,4\n")
    (folder / "x.json").write_text('{"ids": ["a", "b"], "hash": "c", "description": "d"}')
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@given(data=st.data(), suffix=st.sampled_from([".parquet", ".npz", ".csv", ".json"]))
def test_any_flipped_bit_or_cut_is_read_or_refused(tmp_path_factory, whole, data, suffix) -> None:
    content = bytearray(whole[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / f"flipped{suffix}"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        Forgotten.read(path) if suffix == ".json" else read(path)
    except UnlearnAuditError as error:
        assert str(error)
