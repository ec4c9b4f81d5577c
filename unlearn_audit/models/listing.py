"""What a repository of the Hub says that it holds, looked at before any of it is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from unlearn_audit.errors import HubError
from unlearn_audit.names import leads_elsewhere, shown

MOST_FILES = 10_000
_SECONDS = 10.0  # to wait for the Hub
_SHARE = 0.9  # of the disk that is free, which a repository may take


def check_listing(
    repo_id: str,
    *,
    revision: str | None = None,
    only: Sequence[str] | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> None:
    """Refuse a model repository whose files lead elsewhere, are too many, or do not fit on the disk.

    Where the Hub cannot be asked nothing is said: what is in the cache may do, and the download says what is wrong.

    Args:
        repo_id: `user/name`.
        revision: branch, tag or commit.
        only: patterns of the files that will be fetched; all by default.
        endpoint: another Hub than the default.
        token: another login than this machine's.

    Raises:
        HubError: with what is wrong, and what to do.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import filter_repo_objects

    try:
        api = HfApi(endpoint=endpoint, token=token)
        found = api.model_info(repo_id, revision=revision, files_metadata=True, timeout=_SECONDS)
    except _not_asked():
        return
    sizes = {each.rfilename: each.size or 0 for each in found.siblings or ()}
    wanted = set(filter_repo_objects(sizes, allow_patterns=None if only is None else list(only)))
    _check(repo_id, {path: size for path, size in sizes.items() if path in wanted}, Path(constants.HF_HUB_CACHE))


def _not_asked() -> tuple[type[Exception], ...]:
    """Return the errors of a Hub that is not reached, or that has no such repository."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    return (OfflineModeIsEnabled, httpx2.TransportError, HfHubHTTPError, HFValidationError)


def _check(repo_id: str, sizes: dict[str, int], cache: Path) -> None:
    astray = next((path for path in sizes if leads_elsewhere(path)), None)
    if astray is not None:
        raise HubError(f"Nothing of {repo_id!r} was fetched: its file {shown(astray)!r} would lie in another folder.")
    if len(sizes) > MOST_FILES:
        raise HubError(
            f"Nothing of {repo_id!r} was fetched: expected at most {MOST_FILES:,} files, got {len(sizes):,}."
        )
    total = sum(sizes.values())
    free = shutil.disk_usage(next(place for place in (cache, *cache.parents) if place.exists())).free
    if total > _SHARE * free:
        raise HubError(
            f"Nothing of {repo_id!r} was fetched: it says that its files take {total / 2**30:,.1f} GiB, and "
            f"{free / 2**30:,.1f} GiB are free in {cache}. Free space there, or set HF_HOME to another disk."
        )
