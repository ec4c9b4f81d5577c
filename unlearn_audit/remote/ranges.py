"""Files that stay where they lie, on the Hub or an S3-compatible store: Arrow reads ranges of them as it needs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.errors import HubError
from unlearn_audit.remote.faults import explained
from unlearn_audit.remote.s3 import S3, check_unchanged, checked_place, s3_content, s3_explained, s3_handle
from unlearn_audit.remote.sources import BUCKETS, content_in, opened, pinned_in, repository_of

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem


@dataclass(frozen=True, eq=False)
class RangedFile:
    """A file elsewhere, as it was when it was opened.

    Attributes:
        source: where it lies; on the Hub at the commit that was newest, where it has commits.
        content: what the store calls its content.
        handle: for Arrow.
        look: asks the store again what it calls the content; None where it cannot change.
    """

    source: str
    content: str
    handle: Any
    look: Callable[[], str] | None

    @classmethod
    def open(cls, source: str) -> RangedFile:
        """Open a file; nothing of it is read yet.

        Raises:
            HubError: where there is no such file on the Hub, it may not be read, or the Hub cannot be reached.
            StoreError: the same of an S3-compatible store.
        """
        if checked_place(source).startswith(S3):
            handle = s3_handle(source)
            return cls(source, s3_content(handle), handle, lambda: content_of(source))
        with opened(source) as (files, known):
            place = pinned_in(files, source)
            ranges = _HubRanges(files, place, known["size"])
            look = (lambda: content_of(source)) if source.startswith(BUCKETS) else None
            return cls(place, content_in(known), _arrow_file(ranges), look)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say of faults what they are: of the network, or that the file is no longer the one that was opened."""
        import pyarrow as pa

        named = s3_explained(self.source) if self.source.startswith(S3) else nullcontext()
        try:
            with named:
                yield
        except (OSError, UnicodeDecodeError, pa.ArrowException):
            self.check()
            raise

    def check(self) -> None:
        """Raise `StoreError` where the file is no longer the one that was opened: what was read may be of both."""
        if self.look is not None:
            check_unchanged(self.source, self.content, self.look())


def content_of(source: str) -> str:
    """Return what a store calls the content of a file by, without reading it.

    This is the SHA-256 of a large file on the Hub, `etag:…` on S3, and `git:…` or `xet:…` of other files on the Hub. It
    is the store's word: nobody here has hashed the bytes.

    Raises:
        HubError: as `RangedFile.open`.
        StoreError: as `RangedFile.open`.
    """
    if checked_place(source).startswith(S3):
        return s3_content(s3_handle(source))
    with opened(source) as (_, known):
        return content_in(known)


def pinned(source: str) -> str:
    """Return where a file lies, on the Hub at the commit that is newest now, where it has commits.

    Raises:
        HubError: as `RangedFile.open`.
    """
    if checked_place(source).startswith(S3):
        return source
    with opened(source) as (files, _):
        return pinned_in(files, source)


class _HubRanges(io.RawIOBase):
    """A file of the Hub, of which each read is one request for the range that is asked for."""

    def __init__(self, files: HfFileSystem, source: str, size: int):
        self._source, self._size, self._at = source, size, 0
        self._file = files.open(source, "rb", cache_type="none")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._size - self._at if size is None or size < 0 else min(size, self._size - self._at)
        if wanted <= 0:
            return b""
        with explained(repository_of(self._source)):
            self._file.seek(self._at)
            found = bytes(self._file.read(wanted))  # the client tries again where the connection breaks
        if len(found) != wanted:
            raise HubError(
                f"{self._source}: expected {wanted:,} bytes from the Hub, got {len(found):,}. Something on the way "
                "does not serve ranges; fetch the file, and give it as one of this machine."
            )
        self._at += wanted
        return found


def _arrow_file(file: io.RawIOBase) -> Any:
    import pyarrow as pa

    return pa.PythonFile(file, mode="r")
