"""`unlearn-audit calibrate` on one's own saved predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from unlearn_audit.calibration import own_pool
from unlearn_audit.calibration.pool import HONEST, ORIGINAL
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.populations import FORGET
from unlearn_audit.predictions import Predictions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of five retrained models and an original that knows the deleted examples; the rows of one differ."""
    made = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    ids = np.array([f"{i:03d}" for i in range(400)])
    splits = np.where(np.arange(400) < 300, "train", "test")
    deleted = np.flatnonzero((labels == 0) & (splits == "train"))[:30]
    shared = 3 * np.eye(4)[labels] + rng.normal(size=(400, 4))
    for name in ("original", *(f"retrained-{k}" for k in range(5))):
        logits = shared + 0.3 * rng.normal(size=(400, 4))
        logits[deleted, 0] += 4 if name == "original" else -1
        order = rng.permutation(400) if name == "retrained-3" else np.arange(400)
        Predictions(
            ids[order], splits[order], labels[order], logits[order].astype(np.float32), embeddings=shared[order]
        ).save(made / f"{name}.parquet")
    (made / "forget.txt").write_text("\n".join(ids[deleted]))
    return made


@pytest.mark.slow
def test_its_tables_tell_how_honest_models_and_the_original_fare(folder, tmp_path) -> None:
    references = [item for k in range(5) for item in ("--reference", str(folder / f"retrained-{k}.parquet"))]
    given = ["--original", str(folder / "original.parquet"), "--forget", str(folder / "forget.txt")]
    line = ["calibrate", *references, *given, "--draws", "100", "--output", str(tmp_path / "own.md")]
    shown = CliRunner().invoke(app, line)
    assert shown.exit_code == 0, shown.output
    assert "own: honest candidates fail in at most a share alpha of audits: yes." in shown.output
    page = (tmp_path / "own.md").read_text()
    assert "## Pool: own" in page and "5 retrained models" in page
    row = next(line for line in page.splitlines() if line.startswith("| original |"))
    assert row.split("|")[2].strip() == "100.0 / 0.0 / 0.0"  # fail / not settled / pass with three references


def test_rows_in_another_order_are_matched(folder) -> None:
    pool = own_pool(
        [folder / f"retrained-{k}.parquet" for k in range(5)], folder / "original.parquet", folder / "forget.txt"
    )
    one = Predictions.load(folder / "retrained-3.parquet")
    rows = [one.example_ids.tolist().index(example) for example in pool.example_ids]
    np.testing.assert_array_equal(pool.logits[HONEST][3], one.logits[rows])
    assert pool.logits[ORIGINAL].shape == (1, 400, 4) and (pool.population == FORGET).sum() == 30


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["digits", "--reference", "a.parquet"], "either names of pools, or --reference"),
        (["--reference", "a.parquet"], "--original and --forget with --reference"),
        (["--original", "a.parquet"], "only with --reference"),
        (["--data", "folder"], "--data only with --build"),
    ],
)
def test_options_that_do_not_fit_together_are_told(given, told) -> None:
    error = CliRunner().invoke(app, ["calibrate", *given]).exception
    assert isinstance(error, ConfigurationError) and told in str(error)


def test_too_few_retrained_models_and_taken_names_are_refused(folder) -> None:
    few = [folder / f"retrained-{k}.parquet" for k in range(3)]
    with pytest.raises(AuditError, match="at least 4 retrained models"):
        own_pool(few, folder / "original.parquet", folder / "forget.txt")
    enough = [*few, folder / "retrained-3.parquet"]
    with pytest.raises(AuditError, match="another name of a candidate than 'temperature'"):
        own_pool(enough, folder / "original.parquet", folder / "forget.txt", candidates={"temperature": few[0]})
