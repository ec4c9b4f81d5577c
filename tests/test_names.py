"""Names that would lead elsewhere, or that some system refuses, are refused in one place."""

from __future__ import annotations

import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.names import checked_name

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


@pytest.mark.parametrize("name", ["ltd", "RL + FT", "retrained-1", "knn(k=20)", "Löschung", "v1.2", "console", "com10x"])
def test_other_names_are_kept(name: str) -> None:
    assert checked_name(name, "the study") == name
