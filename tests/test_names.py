"""Names that would lead elsewhere, or that some system refuses, are refused in one place."""

from __future__ import annotations

import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.names import checked_name, checked_text, file_name, shown

WRONG = [
    *("", ".", "..", "../x", "a/b", "/a", "a\\b", "..\\x", "C:x", ".hidden", "dot.", " space", "space "),
    *("a\nb", "a\x00b", "a\x7fb", "a\x85b", "a\u202eb", "a\udc80b"),
    *("NUL", "nul", "con.txt", "Com1", "lpt9.tar.gz", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b"),
    *("a" * 201, "ä" * 101),
]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected the name of the study"):
        checked_name(name, "the study")


@pytest.mark.parametrize(
    "name", ["ltd", "RL + FT", "retrained-1", "knn(k=20)", "Löschung", "v1.2", "console", "com10x"]
)
def test_other_names_are_kept(name: str) -> None:
    assert checked_name(name, "the study") == name


@pytest.mark.parametrize("name", WRONG)
def test_a_file_of_a_model_with_any_name_stays_in_its_folder(name: str, tmp_path) -> None:
    found = file_name(name, ".md")
    assert checked_name(found, "a file") == found
    (tmp_path / found).touch()
    assert [path.name for path in tmp_path.iterdir()] == [found]


def test_no_two_models_share_a_file_on_any_system() -> None:
    taken: list[str] = []
    for name in ("a/b", "a?b", "ltd", "LTD", "ltd-2", "ltd"):
        taken.append(file_name(name, ".md", taken))
    assert taken == ["model-a-b.md", "model-a-b-2.md", "ltd.md", "LTD-2.md", "ltd-2-2.md", "ltd-3.md"]


@pytest.mark.parametrize("text", ["a\ud800b", "\x1b[31mred", "two\nlines", "x" * 1001])
def test_a_text_that_no_file_or_terminal_can_take_is_refused_and_shown_harmlessly(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Expected a title") as error:
        checked_text(text, "a title")
    assert str(error.value).isprintable() and len(str(error.value)) < 300
    assert shown(text).isascii() and "\x1b" not in shown(text)


def test_a_class_s_name_may_be_odd_but_is_unicode() -> None:
    assert checked_text("x\u200dy\t", "a class", printable=False)
    with pytest.raises(ConfigurationError):
        checked_text("\udcff", "a class", printable=False)
