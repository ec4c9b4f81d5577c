"""The README shows what stands in the repository."""

from __future__ import annotations

from pathlib import Path

from unlearn_audit import __all__ as public_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_trainer_example_is_the_file() -> None:
    code = (ROOT / "examples" / "trainer_callback.py").read_text(encoding="utf-8").split('"""\n\n', 1)[1].strip()
    assert code in README


def test_every_folder_of_the_package_is_in_the_tree() -> None:
    for folder in (ROOT / "unlearn_audit").iterdir():
        if folder.is_dir() and not folder.name.startswith("__"):
            assert f"  {folder.name}/" in README, folder.name


def test_linked_files_exist() -> None:
    for part in README.split("](")[1:]:
        target = part.split(")")[0]
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_public_names_are_real_and_sorted() -> None:
    import unlearn_audit

    assert public_names == sorted(public_names)
    for name in public_names:
        assert getattr(unlearn_audit, name) is not None
