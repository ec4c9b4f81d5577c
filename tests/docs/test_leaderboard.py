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

CONFIGURATIONS = {"digits": "digits_all_methods"}
BOARDS = [leaderboard.Board.load(name) for name in leaderboard.BOARDS]
ROWS = [(board.name, row) for board in BOARDS for row in board.rows]


def configuration(name: str) -> dict:
    return yaml.safe_load((ROOT / "examples" / "leaderboards" / f"{CONFIGURATIONS.get(name, name)}.yaml").read_text())


def test_the_page_is_what_the_command_makes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(leaderboard, "PAGE", tmp_path / "leaderboard.md")
    leaderboard.make()
    assert (tmp_path / "leaderboard.md").read_text() == (ROOT / "docs" / "leaderboard.md").read_text()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_each_board_can_be_made_again(board) -> None:
    study = configuration(board.name)
    assert board.sets.keys() == study["forget_sets"].keys()
    for rows in board.sets.values():
        assert {row["method"] for row in rows} - {leaderboard.UNTOUCHED} == study["methods"].keys()
    assert {entry.get("method", name) for name, entry in study["methods"].items()} == set(registry.names())


def test_a_part_adds_to_what_is_kept_and_the_original_stays() -> None:
    def row(forget: str, method: str, cost: str) -> dict[str, str]:
        return {"forget_set": forget, "method": method, "cost": cost}

    kept = [row("a", "ssd", "1"), row("a", "original", "2"), row("b", "ssd", "3")]
    added = [row("a", "new", "4"), row("a", "original", "5"), row("b", "ssd", "6"), row("c", "original", "7")]
    assert leaderboard.merged(kept, added) == [kept[0], kept[1], added[0], added[2], added[3]]


@pytest.mark.parametrize(("board", "row"), ROWS, ids=lambda x: x if isinstance(x, str) else x["method"])
def test_a_row_tells_of_as_many_models_for_each_question(board, row) -> None:
    counts = {
        sum(int(row[f"{question}_{outcome}"]) for outcome in leaderboard.SAYS) for question in leaderboard.QUESTIONS
    }
    assert counts == {2 - int(row.get("no_model") or 0)}
