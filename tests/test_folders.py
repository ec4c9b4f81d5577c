"""What is written to is new, empty or ours; what somebody else put there stays as it was."""

from __future__ import annotations

import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.folders import MARK, claim_file, claim_folder, says


@pytest.mark.parametrize("name", ["new", "deep/new", "empty"])
def test_a_new_or_empty_folder_is_claimed_and_stays_ours(name: str, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    folder = claim_folder(tmp_path / name, "model")
    (folder / "weights").write_text("ours")
    assert claim_folder(folder, "model") == folder
    assert (folder / "weights").read_text() == "ours"


def test_a_folder_with_anything_else_is_refused_and_named(tmp_path) -> None:
    for name in ("README.md", "notes", ".git", "more"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigurationError, match=r"holds \.git, README\.md, more and 1 more"):
        claim_folder(tmp_path, "report")
    assert not (tmp_path / MARK).exists()


def test_a_folder_of_another_kind_is_refused(tmp_path) -> None:
    claim_folder(tmp_path, "model")
    with pytest.raises(ConfigurationError, match=r"a folder for a report, but .* is one for a model"):
        claim_folder(tmp_path, "report")


def test_a_mark_that_a_kill_left_empty_is_ours(tmp_path) -> None:
    (tmp_path / MARK).touch()
    (tmp_path / "checkpoints").mkdir()
    claim_folder(tmp_path, "model")


@pytest.mark.parametrize(
    ("file", "content", "ours"),
    [
        ("manifest.json", '{"request": {}}', True),
        ("manifest.json", '{"name": "a web page"}', False),
        ("manifest.json", "torn", False),
        ("manifest.json", "[]", False),
        ("report.json", '{"request": {}}', False),
    ],
)
def test_a_report_from_before_there_were_marks_is_known_by_its_manifest(file, content, ours, tmp_path) -> None:
    (tmp_path / file).write_text(content)
    if ours:
        claim_folder(tmp_path, "report")
    else:
        with pytest.raises(ConfigurationError, match=file):
            claim_folder(tmp_path, "report")


def test_a_study_from_before_there_were_marks_is_known_by_its_stages(tmp_path) -> None:
    stage = tmp_path / "stages" / "original-0123"
    stage.mkdir(parents=True)
    (stage / "manifest.json").write_text('{"needs": {}}')
    with pytest.raises(ConfigurationError, match="stages"):
        claim_folder(tmp_path, "model")
    claim_folder(tmp_path, "study")


def test_what_is_no_folder_is_an_error_in_words(tmp_path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere" / "at all")
    for name in ("file", "file/below", "broken", "a" * 300):
        with pytest.raises(ConfigurationError, match="can be made and written"):
            claim_folder(tmp_path / name, "model")


def is_ours(path) -> bool:
    return says(path, "by unlearn-audit")


def test_a_file_is_written_where_there_is_none_or_one_of_ours(tmp_path) -> None:
    path = tmp_path / "deep" / "tables.md"
    assert claim_file(path, is_ours) == path and path.parent.is_dir()
    path.write_text("# Tables\n\nMade by unlearn-audit.\n")
    assert claim_file(path, is_ours) == path


def test_a_file_of_somebody_else_and_a_folder_are_refused(tmp_path) -> None:
    (tmp_path / "mine.md").write_bytes(b"\xff mine")
    with pytest.raises(ConfigurationError, match="something that unlearn-audit did not write"):
        claim_file(tmp_path / "mine.md", is_ours)
    with pytest.raises(ConfigurationError, match="is a folder"):
        claim_file(tmp_path, is_ours)
    with pytest.raises(ConfigurationError, match="Expected a file that can be written"):
        claim_file(tmp_path / "mine.md" / "below", is_ours)
