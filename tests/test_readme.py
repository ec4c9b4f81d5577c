"""README and CONTRIBUTING show what stands in the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unlearn_audit import __all__ as public_names

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_trainer_example_is_the_file() -> None:
    code = (ROOT / "examples" / "trainer_callback.py").read_text(encoding="utf-8").split('"""\n\n', 1)[1].strip()
    assert code in README


def test_every_folder_of_the_package_is_in_the_tree() -> None:
    for folder in (ROOT / "unlearn_audit").iterdir():
        if folder.is_dir() and not folder.name.startswith("__"):
            assert f"  {folder.name}/" in README, folder.name


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_linked_files_exist(page: str) -> None:
    for part in page.split("](")[1:]:
        target = part.split(")")[0]
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_public_names_are_real_and_sorted() -> None:
    import unlearn_audit

    assert public_names == sorted(public_names)
    for name in public_names:
        assert getattr(unlearn_audit, name) is not None


def test_the_places_and_commands_of_contributing_exist() -> None:
    places = re.findall(r"`((?:unlearn_audit|cli|tests|\.ci|\.github)/[^`]*|[A-Za-z]+\.(?:md|toml))`", CONTRIBUTING)
    assert [place for place in places if not (ROOT / place).exists()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)", CONTRIBUTING))
    assert targets >= {"check", "test", "test-fast"}
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
