"""`unlearn-audit plan` on files of predictions."""

import numpy as np
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.made_up_audit import made_up
from unlearn_audit import plan
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import ConfigurationError, PredictionsError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    for name, seed in {"original": 52, "r1": 1, "r2": 2}.items():
        made_up(seed).save(folder / f"{name}.parquet")
    first = made_up(52)
    (folder / "forget.txt").write_text("\n".join(first.example_ids[:600][first.labels[:600] == 0][::2]))
    return folder


def planned(files, *more):
    line = ["plan", "--original", files / "original.parquet", "--forget", files / "forget.txt", *more]
    return CliRunner().invoke(app, [str(part) for part in line])


def test_it_prints_what_python_says(files):
    shown = planned(files, "--seconds", "90", "--set", "policy.level=0.02")
    assert shown.exit_code == 0, shown.output
    expected = plan(files / "original.parquet", files / "forget.txt", policy=Policy(level=0.02), seconds=90)
    assert shown.output == f"{expected!r}\n"
    assert "tolerance 2)" in shown.output and "passes nothing" in shown.output


def test_references_proximities_and_embeddings_are_used(files):
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = made_up(52)
    pq.write_table(
        pa.table({"example_id": first.example_ids.tolist(), "proximity": (first.labels == 3).astype(float)}),
        files / "near.parquet",
    )
    pq.write_table(
        pa.table({"example_id": first.example_ids.tolist(), "embedding": list(np.eye(5)[(first.labels + 3) % 5])}),
        files / "space.parquet",
    )
    references = ["--reference", files / "r1.parquet", "--reference", f"second={files / 'r2.parquet'}"]
    assert "that of 2 retrained models" in planned(files, *references).output
    assert (
        "nearest tenth of the retained examples: 3 (" in planned(files, "--proximities", files / "near.parquet").output
    )
    assert (
        "nearest tenth of the retained examples: 0 (" in planned(files, "--embeddings", files / "space.parquet").output
    )


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["--set", "policy.levl=0.1"], ConfigurationError, "level"),
        (["--set", "policy.level=-1"], ConfigurationError, "policy.level"),
        (["--reference", "nowhere.parquet"], PredictionsError, "nowhere.parquet"),
    ],
)
def test_errors_name_what_is_wrong(files, more, error, message):
    shown = planned(files, *more)
    assert isinstance(shown.exception, error) and message in str(shown.exception)
