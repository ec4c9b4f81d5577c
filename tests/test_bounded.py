"""Small files that would become large: each is refused before anything of the kind is allocated."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.deadline import within
from unlearn_audit import bounded
from unlearn_audit.auditing.neighbours import NeighbourSource
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.bounded import TooLargeError, read_parquet
from unlearn_audit.calibration.pool import Pool
from unlearn_audit.data import load_images
from unlearn_audit.errors import UnlearnAuditError
from unlearn_audit.files import read_json
from unlearn_audit.id_files import read_column, read_ids
from unlearn_audit.predictions import open_predictions
from unlearn_audit.publishing.answers import PublishedAnswers
from unlearn_audit.reporting.ledger import read_ledger
from unlearn_audit.saved.forgotten import Forgotten
from unlearn_audit.saved.manifest import read_manifest
from unlearn_audit.saved.sealing import read_seal

BOUND = 1 << 30  # bytes that reading a bomb may take
ROWS = 2_000_000


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    """Fail where more than the bound becomes resident, on which no bomb's refusal comes close."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with within(20):
        yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BOUND


@pytest.fixture(scope="module")
def bombs(tmp_path_factory) -> Path:
    """Files of less than a megabyte."""
    folder = tmp_path_factory.mktemp("bombs")
    same = pa.array(np.zeros(ROWS, np.int8))
    texts = pa.DictionaryArray.from_arrays(same, pa.array(["x" * 500_000]))
    numbers = pa.DictionaryArray.from_arrays(same, pa.array([0.0]))
    labels = pa.DictionaryArray.from_arrays(same, pa.array([0]))
    many = pa.array(np.zeros(1 << 22, np.float32))
    endless = pa.ListArray.from_arrays(pa.array([0, len(many)], pa.int32()), many)
    one = {"example_id": pa.array(["a"]), "label": pa.array([0])}
    written = {
        "texts": {"example_id": texts, "label": labels, "proximity": numbers, "logits": numbers},
        "rows": {"example_id": labels, "label": labels, "logits": numbers, "proximity": numbers},
        "list": {**one, "logits": endless, "embedding": endless},
    }
    for name, columns in written.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd", row_group_size=ROWS)
    assert max(path.stat().st_size for path in folder.iterdir()) < 1 << 20
    return folder


READERS = {
    "predictions": lambda path: list(open_predictions(path).logit_chunks(10)),
    "embeddings": lambda path: NeighbourSource(path).column("embedding", np.array(["a"])),
    "proximities": lambda path: NeighbourSource(path).numbers("proximity", np.array(["a"])),
    "ids": lambda path: Forgotten.read(path),
    "a column": lambda path: read_column(path, "example_id"),
    "a pool": Pool.load,
    "a ledger": lambda path: read_ledger(path.parent),
    "images": lambda path: load_images(path.parent),
}
CASES = [("texts", name) for name in READERS if name not in ("embeddings", "images")] + [
    *(("list", name) for name in ("predictions", "embeddings", "images", "a ledger")),
    *(("rows", name) for name in ("predictions", "proximities", "ids", "a column")),
]


@pytest.mark.parametrize(("bomb", "reader"), CASES)
def test_a_parquet_file_that_would_not_fit_is_refused(bombs, tmp_path, monkeypatch, bomb, reader) -> None:
    """Most of them would take terabytes; for the others, this machine is made small."""
    if bomb != "texts":
        monkeypatch.setattr(bounded, "MEMORY_SHARE", 1e-4)
    path = tmp_path / "examples.parquet"
    path.symlink_to(bombs / f"{bomb}.parquet")
    with pytest.raises(UnlearnAuditError, match=r"memory are free"):
        READERS[reader](path)


def test_what_fits_is_read_as_it_is(tmp_path) -> None:
    table = pa.table({"a": ["x", None, "yy"], "b": [1, 2, 3], "c": [[1.0], [2.0], [3.0]], "d": [b"1", b"2", b"3"]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    assert read_parquet(tmp_path / "x.parquet").equals(pq.read_table(tmp_path / "x.parquet"))
    assert read_parquet(tmp_path / "x.parquet", ["b"]).equals(table.select(["b"]))


def test_a_run_of_one_text_is_read_where_it_fits(tmp_path, monkeypatch) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int8)), pa.array(["x" * 1000]))
    pq.write_table(pa.table({"a": texts}), tmp_path / "x.parquet")
    assert read_parquet(tmp_path / "x.parquet").nbytes > 1_000_000
    monkeypatch.setattr(bounded, "MEMORY_SHARE", 1e-6)
    with pytest.raises(TooLargeError):
        read_parquet(tmp_path / "x.parquet")


JSON = {
    "a report": lambda folder: AuditReport.load(folder),
    "a manifest": lambda folder: read_manifest(folder),
    "answers": lambda folder: PublishedAnswers.load(folder),
    "a seal": lambda folder: read_seal(folder / "seal.json"),
    "a forget set": lambda folder: Forgotten.read(folder / "forget.json"),
}


def deep(path: Path) -> None:
    path.write_text("[" * 200_000 + "]" * 200_000)


def deep_objects(path: Path) -> None:
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def huge(path: Path) -> None:
    """A hole of four gibibytes, which takes no disk."""
    path.touch()
    os.truncate(path, 1 << 32)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def numbers(path: Path) -> None:
    path.write_text('{"schema_version": ' + "9" * 100_000 + "}")


@pytest.mark.parametrize("harm", [deep, deep_objects, huge, pipe, device, folder, numbers])
@pytest.mark.parametrize("reader", JSON)
def test_json_that_is_no_file_too_deep_or_too_large_is_refused(tmp_path, harm, reader) -> None:
    for name in ("report.json", "manifest.json", "answers.json", "seal.json", "forget.json"):
        harm(tmp_path / name)
    with pytest.raises(UnlearnAuditError) as error:
        JSON[reader](tmp_path)
    assert 0 < len(str(error.value)) < 1000


@pytest.mark.parametrize("harm", [huge, pipe, device, folder])
@pytest.mark.parametrize("suffix", ["txt", "csv", "json", "parquet", "npz", "jsonl"])
def test_lists_and_predictions_that_are_no_file_or_too_large_are_refused(tmp_path, harm, suffix, monkeypatch) -> None:
    monkeypatch.setattr(bounded, "MEMORY_SHARE", 0.1)
    path = tmp_path / f"x.{suffix}"
    harm(path)
    for reader in (read_ids, open_predictions, lambda path: read_column(path, "a")):
        with pytest.raises(UnlearnAuditError):
            reader(path)


def test_nested_too_deeply_is_a_value_error(tmp_path) -> None:
    deep(tmp_path / "x.json")
    with pytest.raises(ValueError, match="too deeply"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["x.csv.gz", "x.jsonl.gz", "x.parquet.gz", "x.npz.gz"])
def test_what_is_compressed_as_a_whole_is_not_read(tmp_path, name) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b" + bytes(100))
    for reader in (read_ids, open_predictions, lambda path: read_column(path, "a")):
        with pytest.raises(UnlearnAuditError):
            reader(tmp_path / name)


@pytest.mark.parametrize("name", ["train.csv.gz", "train.zip", "train/a.tar", "data.json.xz"])
def test_archives_among_images_are_not_unpacked(tmp_path, name) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / name).write_bytes(b"\x1f\x8b" + bytes(100))
    with pytest.raises(UnlearnAuditError, match="archive, which is not unpacked here"):
        load_images(tmp_path)


def test_json_lines_that_are_nested_deeply_are_refused(tmp_path) -> None:
    deep(tmp_path / "x.jsonl")
    with pytest.raises(UnlearnAuditError):
        open_predictions(tmp_path / "x.jsonl")
