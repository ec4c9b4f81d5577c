"""A search's journal that was damaged is cut before the damage, and Optuna goes on from there."""

from __future__ import annotations

import pytest

from unlearn_audit.experiment.journal import mended

optuna = pytest.importorskip("optuna")


def search(path, trials: int) -> list[float]:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return [trial.value for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])]


DAMAGES = {
    "cut off": (lambda whole: whole[:-10], 2),
    "a line of another kind": (lambda whole: whole + b"[]\n", 3),
    "no UTF-8": (lambda whole: whole + b"\xff\xfe\n", 3),
    "nested deeply": (lambda whole: whole + b"[" * 100_000 + b"\n", 3),
    "all noise": (lambda whole: b"\x00" + whole, 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_search_goes_on_from_the_line_before_the_damage(tmp_path, damage) -> None:
    path, (harm, kept) = tmp_path / "journal.jsonl", DAMAGES[damage]
    before = search(mended(path), 3)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"is damaged.*journal\.jsonl\.damaged-1"):
        mended(path)
    after = search(mended(path), 1)
    assert after[:kept] == before[:kept] and len(after) == kept + 1


def test_a_folder_in_its_place_is_set_aside_and_a_whole_one_is_left(tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    path.mkdir()
    with pytest.warns(UserWarning, match="damaged-1"):
        mended(path)
    search(path, 1)
    content = path.read_bytes()
    assert mended(path).read_bytes() == content
