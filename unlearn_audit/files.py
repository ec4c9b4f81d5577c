"""Files that are whole or absent, their hashes, and the versions that made them: each in one place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import itertools
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unlearn_audit.errors import StorageError, UnlearnAuditError

PACKAGES = ("unlearn-audit", "torch", "numpy", "scipy", "transformers", "timm")
LARGEST_JSON = 1 << 28  # bytes
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What the libraries say of a full disk, a quota or a limit on sizes where they raise errors of their own.
_FULL_SAID = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "PytorchStreamWriter failed",
    "file write failed",
)
_KEPT = (
    "Nothing that was whole is lost: finished stages, checkpoints and earlier files are as they were. Free space or "
    "give another place, and run the same again: it goes on from there."
)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a draft beside `path` to write to; it takes the place of `path` once the block ends without an error.

    A reader sees the whole new file or what was there before, also when the writer is killed.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text through `replacing`."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def storage_explained(what: str = "") -> Iterator[None]:
    """Turn errors of a full disk, and of files that cannot be read or written, into `StorageError`s in words.

    Args:
        what: was being done, for the beginning of the message.
    """
    try:
        yield
    except (UnlearnAuditError, BrokenPipeError):
        raise
    except storage_faults() as error:
        begin = f"{what}: " if what else ""
        if _is_full(error):
            raise StorageError(
                f"{begin}the disk is full, or a quota or a limit on sizes was reached ({_briefly(error)}). {_KEPT}"
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise StorageError(
                f"{begin}a file or folder cannot be used: {_briefly(error)}. Mend that, and run the same again."
            ) from error
        raise


def storage_faults() -> tuple[type[BaseException], ...]:
    """Return the types of error that a full disk ends in, among others."""
    from safetensors import SafetensorError

    return (OSError, RuntimeError, SafetensorError)


def _is_full(error: BaseException) -> bool:
    errors = [error, *(each for each in (error.__cause__, error.__context__) if each is not None)]
    return any(getattr(each, "errno", None) in _FULL or any(s in str(each) for s in _FULL_SAID) for each in errors)


def _briefly(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def regular(path: str | Path, most: int | None = None) -> Path:
    """Return the path of a file that can be read to its end: no folder, device or pipe, at most `most` bytes.

    Raises:
        FileNotFoundError: where there is none.
        OSError: where it is something else, or too large.
    """
    path = Path(path)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"expected a plain file, got {'a folder' if path.is_dir() else 'a pipe or device'}")
    if most is not None and found.st_size > most:
        raise OSError(f"expected at most {most:,} bytes, got {found.st_size:,}")
    return path


def read_json(path: str | Path, most: int = LARGEST_JSON) -> Any:
    """Return what a JSON file of at most `most` bytes holds.

    Raises:
        FileNotFoundError: where there is none.
        OSError: where it is no plain file, or too large.
        ValueError: where it is no JSON in UTF-8, or nested too deeply.
    """
    try:
        return json.loads(regular(path, most).read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def set_aside(path: Path, named: str = "{name}.damaged-{number}") -> Path:
    """Give what is at `path` a name that says that it is damaged, so that nothing is lost; return it."""
    names = (path.with_name(named.format(name=path.name, number=number)) for number in itertools.count(1))
    return path.rename(next(name for name in names if not os.path.lexists(name)))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex; what can not be read to its end raises `OSError`."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of packages, by name; "unknown" of one that runs without being installed."""
    return {"python": ".".join(map(str, sys.version_info[:3])), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a folder of sources on the path, say
        return "unknown"
