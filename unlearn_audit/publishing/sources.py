"""Files and models that are named by where they lie on the Hub: `hf://…` paths and `hub:user/name[@revision]`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path, PurePosixPath

from unlearn_audit.errors import HubError
from unlearn_audit.files import replacing
from unlearn_audit.publishing.faults import explained, retried
from unlearn_audit.publishing.hub import pull
from unlearn_audit.saved.verify import MODEL_FILES

FILE = "hf://"  # hf://datasets/user/name[@revision]/path, hf://buckets/user/name/path, hf://user/model/path
MODEL = "hub:"


def is_remote(source: str) -> bool:
    """Tell whether a source lies on the Hub."""
    return source.startswith((FILE, MODEL))


def fetched_file(source: str, folder: str | Path, *, endpoint: str | None = None, token: str | None = None) -> Path:
    """Fetch a file from the Hub into `folder`, and return its path there; a file of this machine is left where it is.

    Args:
        source: a path of this machine, or one that `huggingface_hub`'s file system reads: of a data set, a model, a
            Space or a bucket.
        folder: made where it is missing. A file that was fetched into it before is fetched again.
        endpoint: another Hub than the default.
        token: another login than this machine's.

    Raises:
        HubError: where there is no such file, it may not be read, or the Hub cannot be reached.
    """
    if not source.startswith(FILE):
        return Path(source)
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import GatedRepoError

    name = f"{hashlib.sha256(source.encode()).hexdigest()[:8]}-{PurePosixPath(source).name}"
    target = Path(folder) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with explained(_repository(source)):
        files = HfFileSystem(endpoint=endpoint, token=token, skip_instance_cache=True)
        try:
            _check_size(source, files.info(source)["size"], target.parent)
            with replacing(target) as draft, draft.open("wb") as here:
                shutil.copyfileobj(retried(lambda: files.open(source, "rb", block_size=2**20)), here)
        except FileNotFoundError as error:
            if isinstance(error.__cause__, GatedRepoError):
                raise error.__cause__ from error
            raise HubError(
                f"There is no file {source!r}, or it is private and this login may not see it. Expected "
                "hf://datasets/USER/NAME/PATH or hf://buckets/USER/NAME/PATH; run `hf auth login` for private ones."
            ) from error
    return target


def fetched_dataset(source: str, *, endpoint: str | None = None, token: str | None = None) -> Path:
    """Fetch the Parquet and JSON files of `hf://datasets/USER/NAME[@REVISION]` into the cache, and return their folder.

    Raises:
        HubError: where there is no such data set or revision, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    name, _, revision = source.removeprefix(FILE).partition("@")
    kind, _, repository = name.partition("/")
    if kind != "datasets" or repository.count("/") != 1:
        raise HubError(f"Expected hf://datasets/USER/NAME[@REVISION], a whole data set, got {source!r}.")
    with explained(repository):
        return Path(
            snapshot_download(
                repository,
                repo_type="dataset",
                revision=revision or None,
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


def model_folder(source: str) -> Path:
    """Return the folder of a model: of `hub:user/name[@revision]` what is fetched, anything else as it is.

    Raises:
        HubError: where there is no such repository or revision, or the Hub cannot be reached.
    """
    return pull(source, only=MODEL_FILES) if source.startswith(MODEL) else Path(source)


def _repository(source: str) -> str:
    """Return the repository of an `hf://` path, for messages."""
    parts = source.removeprefix(FILE).split("/")
    kinds = {"datasets", "spaces", "buckets", "models"}
    return "/".join(parts[1:3] if parts[0] in kinds else parts[:2])
