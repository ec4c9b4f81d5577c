"""`unlearn-audit forget`: requests as people have them become forget sets, and what they matched is shown."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner
from unlearn_audit.cli.main import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An image folder of two classes with a customer for each image; b.png is a copy of a.png."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (6, 6, 3), dtype=np.uint8) for name in "abcdef"}
    pixels["b"] = pixels["a"]
    for split in ("train", "test"):
        lines = ["file_name,label,customer_id"]
        for place, (name, image) in enumerate(pixels.items()):
            path = root / split / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image if split == "train" else 255 - image).save(path)
            lines.append(f"{name}.png,{'cat' if place % 2 else 'dog'},c{place // 2}")
        (root / split / "metadata.csv").write_text("\n".join(lines))
    return root


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARN_AUDIT_CACHE", str(tmp_path / "decoded"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "arrow"))
    monkeypatch.chdir(tmp_path)


def forget(*arguments, folder):
    options = ["--data", str(folder), "--data-set", "label_column=label"]
    return CliRunner().invoke(app, ["forget", *map(str, arguments), *options], env={"COLUMNS": "200"})


REQUESTS = {
    "file_name": "file_name,when\na.png,2026\nd.png,2026\n",
    "filename": "filename\na.png\nd.png\n",
    "Path": "Path,why\n/home/me/photos/train/a.png,asked\ntrain/d.png,asked\n",
    "no header": "a.png\nd.png\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_of_file_names_is_matched_and_shown(name: str, folder, tmp_path) -> None:
    (tmp_path / "request.csv").write_text(REQUESTS[name])
    shown = forget("request.csv", folder=folder)
    assert shown.exit_code == 0, shown.output
    assert "2 of 6 training examples" in shown.output and "cat: 1 of 3" in shown.output
    assert "train/a.png, train/d.png" in shown.output
    assert "1 examples that stay are copies" in shown.output and "train-1 (train) of train-0" in shown.output
    assert json.loads((tmp_path / "forget.json").read_text())["ids"] == ["train-0", "train-3"]


def test_all_examples_of_a_customer_are_taken(folder, tmp_path) -> None:
    (tmp_path / "request.csv").write_text("customer_id,date\nc0,2026-01-01\nc0,2026-01-02\n")
    shown = forget("request.csv", "--column", "customer_id", "--pictures", "copies.html", folder=folder)
    assert shown.exit_code == 0, shown.output
    assert json.loads((tmp_path / "forget.json").read_text())["ids"] == ["train-0", "train-1"]
    assert "No copy" in shown.output and (tmp_path / "copies.html").is_file()


MISTAKES = {
    "customer_id,date\nc9,2026\n": ("customer_id", "no customer_id"),
    "customer,date\nc0,2026\n": ("customer_id", "no column 'customer_id'"),
    "customer_id,date\n,2026\n": ("customer_id", "is empty in row 0"),
    "when,why\n1,2\n": (None, "needs its ids in a column"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_what_does_not_match_is_told(text: str, folder, tmp_path) -> None:
    column, message = MISTAKES[text]
    (tmp_path / "request.csv").write_text(text)
    shown = forget("request.csv", *(["--column", column] if column else []), folder=folder)
    assert message in str(shown.exception) and not (tmp_path / "forget.json").exists()


def test_the_data_are_never_assumed(tmp_path) -> None:
    (tmp_path / "r.txt").write_text("train-0")
    for command in (["forget", "r.txt"], ["train", "-o", "m"], ["predict", "m", "-o", "p.parquet"]):
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code == 2 and "--data" in shown.output
