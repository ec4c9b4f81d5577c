from __future__ import annotations

import hashlib

import pytest

from unlearn_audit.files import replacing, sha256, versions, write_text


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "before")
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_the_hash_is_that_of_the_bytes(tmp_path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"\x00abc")
    assert sha256(path) == hashlib.sha256(b"\x00abc").hexdigest()


def test_versions_name_this_package_and_python() -> None:
    assert {"python", "unlearn-audit", "torch"} <= versions().keys()


def test_a_package_that_is_not_installed_has_an_unknown_version() -> None:
    assert versions(("no-such-package",))["no-such-package"] == "unknown"
