"""Files that are named by where they lie: `hf://…` on the Hub, of data sets, models, Spaces and buckets, and `s3://…`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

from unlearn_audit.errors import HubError
from unlearn_audit.files import replacing
from unlearn_audit.remote.faults import explained, retried
from unlearn_audit.remote.s3 import S3, check_unchanged, checked_place, s3_content, s3_explained, s3_handle

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

FILE = "hf://"  # hf://datasets/user/name[@revision]/path, hf://buckets/user/name/path, hf://user/model/path
MODEL = "hub:"
BUCKETS = f"{FILE}buckets/"  # whose files have no commits
_DATASET = f"{FILE}datasets/"
_PREDICTIONS = (".parquet", ".npz", ".csv", ".jsonl")
_KINDS = ("datasets", "spaces", "buckets")
_BLOCK = 1 << 23  # bytes that are fetched at a time


def is_remote(source: str) -> bool:
    """Tell whether a source lies on the Hub or an S3-compatible store."""
    return source.startswith((FILE, MODEL, S3))


def is_remote_file(source: str) -> bool:
    """Tell whether a source is a file, and no model: it lies in no model's repository, or its ending says so."""
    kind = source.removeprefix(FILE).partition("/")[0]
    return source.startswith(S3) or (source.startswith(FILE) and (kind in _KINDS or source.endswith(_PREDICTIONS)))


def placed(folder: str | Path, source: str) -> Path | str:
    """Return the path of a file, relative ones being from `folder`; a file elsewhere is named as it is."""
    return source if is_remote_file(checked_place(source)) else Path(folder) / source


def base_name(place: str | Path) -> str:
    """Return the last part of a path or an address."""
    return PurePosixPath(place).name if isinstance(place, str) else place.name


def fetched_file(source: str, folder: str | Path, *, endpoint: str | None = None, token: str | None = None) -> Path:
    """Fetch a file from elsewhere into `folder`, and return its path there; one of this machine is left where it is.

    Args:
        source: a path of this machine, one that `huggingface_hub`'s file system reads (of a data set, a model, a Space
            or a bucket), or `s3://BUCKET/KEY`.
        folder: made where it is missing; the file keeps its name, in a folder of its own there. A file that was fetched
            before is fetched again.
        endpoint: another Hub than the default.
        token: another login than this machine's.

    Raises:
        HubError: where there is no such file, it may not be read, or the Hub cannot be reached.
        StoreError: the same of an S3-compatible store; for web addresses, and addresses with a login.
    """
    if not checked_place(source).startswith((FILE, S3)):
        return Path(source)
    target = Path(folder) / hashlib.sha256(source.encode()).hexdigest()[:8] / PurePosixPath(source).name
    if source.startswith(S3):
        handle = s3_handle(source)
        with _target(source, handle.size(), target) as here, s3_explained(source):
            shutil.copyfileobj(handle, here, _BLOCK)
            check_unchanged(source, s3_content(handle), s3_content(s3_handle(source)))
        return target
    with opened(source, endpoint, token) as (files, known), _target(source, known["size"], target) as here:
        shutil.copyfileobj(retried(lambda: files.open(source, "rb", block_size=2**20)), here)
    return target


@contextmanager
def _target(source: str, size: int, target: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, which becomes `target` once it is whole, if there is room for `size` bytes."""
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    _check_size(source, size, target.parent.parent)
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as draft, draft.open("wb") as here:
        yield here


@contextmanager
def at_hand(source: str) -> Iterator[Path]:
    """Yield the path of a file, which is fetched for as long as it is needed where it lies elsewhere.

    Raises:
        HubError: as `fetched_file`.
    """
    with TemporaryDirectory() as folder:
        yield fetched_file(source, folder)


def version_of(source: str) -> str:
    """Return what a store calls the content of a file by, without fetching it: another content has another name.

    Raises:
        HubError: as `fetched_file`.
        StoreError: as `fetched_file`.
    """
    if source.startswith(S3):
        return s3_content(s3_handle(source))
    with opened(source) as (_, known):
        return str(known.get("blob_id") or known["xet_hash"])


def content_in(known: dict[str, Any]) -> str:
    """Return what the Hub calls a file's content by, of what it says of the file: a large file's SHA-256, if it can."""
    if known.get("lfs"):
        return str(known["lfs"]["sha256"])
    return f"git:{known['blob_id']}" if known.get("blob_id") else f"xet:{known['xet_hash']}"


def pinned_in(files: HfFileSystem, source: str) -> str:
    """Return a file's path at the commit that its revision stands for now; that of a bucket, which has none, as it is.

    Raises:
        HubError: as `fetched_file`.
    """
    from huggingface_hub import HfApi

    found: Any = files.resolve_path(source)
    kind = getattr(found, "repo_type", None)
    if kind is None:
        return source
    with explained(found.repo_id):
        about = HfApi(endpoint=files.endpoint, token=files.token)
        commit = about.repo_info(found.repo_id, repo_type=kind, revision=found.revision).sha
    top = "" if kind == "model" else f"{kind}s/"
    return f"{FILE}{top}{found.repo_id}@{commit}/{found.path_in_repo}"


@contextmanager
def opened(
    source: str, endpoint: str | None = None, token: str | None = None
) -> Iterator[tuple[HfFileSystem, dict[str, Any]]]:
    """Yield the Hub's file system, and what it says of a file there."""
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import GatedRepoError

    with explained(repository_of(source)):
        files = HfFileSystem(endpoint=endpoint, token=token, skip_instance_cache=True)
        try:
            known = files.info(source)
            if known["type"] != "file" or PurePosixPath(source).name == "..":
                raise HubError(f"Expected a file of the Hub, but {source!r} is a folder there.")
            yield files, known
        except FileNotFoundError as error:
            if isinstance(error.__cause__, GatedRepoError):
                raise error.__cause__ from error
            raise HubError(
                f"There is no file {source!r}, or it is private and this login may not see it. Expected "
                "hf://datasets/USER/NAME/PATH or hf://buckets/USER/NAME/PATH; run `hf auth login` for private ones."
            ) from error


def dataset_named(source: str) -> tuple[str, str | None] | None:
    """Return id and revision of `hf://datasets/USER/NAME[@REVISION]`; None for a source that is none of the Hub.

    Raises:
        HubError: for another `hf://` source.
    """
    if not source.startswith(FILE):
        return None
    name, _, revision = source.removeprefix(_DATASET).partition("@")
    if not source.startswith(_DATASET) or name.count("/") != 1:
        raise HubError(f"Expected hf://datasets/USER/NAME[@REVISION], a whole data set, got {source!r}.")
    return name, revision or None


def fetched_dataset(source: str, *, endpoint: str | None = None, token: str | None = None) -> Path:
    """Fetch the Parquet and JSON files of `hf://datasets/USER/NAME[@REVISION]` into the cache, and return their folder.

    A folder of this machine is returned as it is.

    Raises:
        HubError: where there is no such data set or revision, or the Hub cannot be reached.
    """
    named = dataset_named(source)
    if named is None:
        return Path(source)
    from huggingface_hub import snapshot_download

    repository, revision = named
    with explained(repository):
        return Path(
            snapshot_download(
                repository,
                repo_type="dataset",
                revision=revision,
                allow_patterns=["*.parquet", "*.json"],
                endpoint=endpoint,
                token=token,
            )
        )


def _check_size(source: str, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise HubError(
            f"{source} was not fetched: it says that it takes {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are "
            f"free in {str(folder)!r}. Give another folder."
        )


def repository_of(source: str) -> str:
    """Return the repository of an `hf://` path, for messages."""
    parts = source.removeprefix(FILE).split("/")
    return "/".join(parts[1:3] if parts[0] in (*_KINDS, "models") else parts[:2])
