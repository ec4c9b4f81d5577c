"""docs/leaderboard.md: made from its saved table by its command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "making"))
import leaderboard  # noqa: E402

from unlearn_audit.methods import registry  # noqa: E402

ROWS = leaderboard.read(leaderboard.SAVED / "digits.csv")


def test_the_page_is_what_the_command_makes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(leaderboard, "PAGE", tmp_path / "leaderboard.md")
    leaderboard.make()
    assert (tmp_path / "leaderboard.md").read_text() == (ROOT / "docs" / "leaderboard.md").read_text()


def test_each_method_that_there_is_is_in_it_on_each_forget_set() -> None:
    study = yaml.safe_load((ROOT / "examples" / "leaderboards" / "digits_all_methods.yaml").read_text())
    assert {entry.get("method", name) for name, entry in study["methods"].items()} == set(registry.names())
    for name, rows in leaderboard.by_forget_set(ROWS):
        assert name in study["forget_sets"]
        assert {row["method"] for row in rows} == study["methods"].keys()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['forget_set']}-{row['method']}")
def test_a_row_tells_of_as_many_models_for_each_question(row) -> None:
    counts = {
        sum(int(row[f"{question}_{outcome}"]) for outcome in leaderboard.SAYS) for question in leaderboard.QUESTIONS
    }
    assert counts == {2}
