"""Publish a model with its audit on the Hugging Face Hub, and fetch one back.

A push is **one** commit: it arrives whole, or the repository stays as it was. What goes into it, and what stays behind
so that nobody can tell whom the forget set held, is decided in `publication.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from unlearn_audit.errors import HubError
from unlearn_audit.publishing.publication import AUDIT_FOLDER, CARD, Publication, prepare_publication
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.saved.verify import MODEL_FILES

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    from unlearn_audit.reporting.pictures import ImageSource

T = TypeVar("T")

# Seconds to wait before each new attempt after a network fault.
WAITS: Sequence[float] = (1.0, 3.0, 9.0)
AUDITED_FILES = (f"{AUDIT_FOLDER}/*", CARD, *MODEL_FILES)  # of a repository, what `verify` looks at
RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Destination:
    """Where to push: a repository `user/name`, private or not where it has to be made, and a branch.

    `endpoint` is another Hub than the default, `token` another than the one that this machine is logged in with.
    """

    repo_id: str
    private: bool = False
    revision: str | None = None
    endpoint: str | None = None
    token: str | None = None


@dataclass(frozen=True)
class PushResult:
    """What a push put on the Hub, or would put: sizes in bytes by path, and what it left out and why."""

    repo_id: str
    files: dict[str, int]
    withheld: tuple[str, ...]
    commit: str | None
    url: str | None


def push(
    folder: str | Path,
    destination: Destination | str,
    *,
    model_folder: str | Path,
    choices: PublishChoices | None = None,
    images: ImageSource | None = None,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> PushResult:
    """Publish the model in `model_folder` with the audit in `folder`, as one commit.

    Every figure of the audit is computed again first: what was edited is not published.

    Args:
        folder: of the audit's report.
        destination: a `Destination`, or only its `user/name`.
        model_folder: configuration, safetensors weights and image processor of the audited candidate.
        choices: what may be published; by default nothing that tells who was forgotten.
        images: gives the published report its pictures; without it there are none.
        dry_run: say what would be pushed, and touch nothing.
        progress: of computing the figures: called with what is done, how many examples are, and how many there are.

    Raises:
        HubError: without a login, where the Hub refuses or cannot be reached; the repository is then as it was.
        AuditError: where the report is not what its inputs say, without a verdict (unless forced), where the weights
            are not those that were audited, and for a forget set too small to be kept unknown.
    """
    to = Destination(destination) if isinstance(destination, str) else destination
    with TemporaryDirectory() as staging:
        publication = prepare_publication(
            Path(folder),
            Path(model_folder),
            Path(staging),
            repo_id=to.repo_id,
            choices=choices or PublishChoices(),
            images=images,
            progress=progress,
        )
        sizes = {path: source.stat().st_size for path, source in sorted(publication.files.items())}
        if dry_run:
            return PushResult(to.repo_id, sizes, publication.withheld, None, None)
        with _explained(to.repo_id):
            commit, url = _publish(_api(to), to, publication)
    return PushResult(to.repo_id, sizes, publication.withheld, commit, url)


def pull(
    repo_id: str,
    *,
    only: Sequence[str] | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> Path:
    """Fetch a repository and return the folder that holds it; the audit lies in its `audit` folder.

    Args:
        repo_id: `user/name`.
        only: patterns of the files to fetch, such as `MODEL_FILES`; all by default.
        revision: branch, tag or commit.
        endpoint: another Hub than the default.
        token: another login than this machine's.

    Raises:
        HubError: where there is no such repository or revision, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    repo_id = repo_id.removeprefix("hub:")
    with _explained(repo_id):
        folder = _retried(
            lambda: snapshot_download(
                repo_id,
                revision=revision,
                endpoint=endpoint,
                token=token or None,
                allow_patterns=None if only is None else list(only),
            )
        )
    return Path(folder)


def _api(to: Destination) -> HfApi:
    from huggingface_hub import HfApi, get_token

    token = to.token or get_token()
    if token is None:
        raise HubError(
            f"Expected a login to push to {to.repo_id!r}, found none. Run `hf auth login`, or set HF_TOKEN to a token "
            "that may write (https://huggingface.co/settings/tokens)."
        )
    return HfApi(endpoint=to.endpoint, token=token)


def _publish(api: HfApi, to: Destination, publication: Publication) -> tuple[str, str]:
    """Commit the publication; return the commit's id and address."""
    _retried(api.whoami)
    _ensure_repository(api, to)
    head = _retried(lambda: api.model_info(to.repo_id, revision=to.revision).sha)
    last: BaseException | None = None
    for wait in (0.0, *WAITS):
        time.sleep(wait)
        try:
            return _commit_once(api, to, publication, head)
        except _transient() as error:
            _raise_unless_worth_retrying(error)
            last = error
        # The answer may have been lost after the commit had been made: never make it twice.
        landed = _landed(api, to, publication, head)
        if landed is not None:
            return landed, f"{api.endpoint}/{to.repo_id}/commit/{landed}"
    raise HubError(
        f"The Hub failed {len(WAITS) + 1} times while committing to {to.repo_id!r} ({last}). Nothing was published; "
        "run the same command again later."
    ) from last


def _ensure_repository(api: HfApi, to: Destination) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = _retried(lambda: api.model_info(to.repo_id))
    except RepositoryNotFoundError:
        _retried(lambda: api.create_repo(to.repo_id, private=to.private, exist_ok=True))
    else:
        if to.private and not info.private:
            raise HubError(
                f"Expected {to.repo_id!r} to be private, but it exists and is public. Make it private in its "
                "settings, or push without --private."
            )
    branch = to.revision
    if branch is None:
        return
    try:
        _retried(lambda: api.model_info(to.repo_id, revision=branch))
    except RevisionNotFoundError:
        _retried(lambda: api.create_branch(to.repo_id, branch=branch, exist_ok=True))


def _commit_once(api: HfApi, to: Destination, publication: Publication, head: str | None) -> tuple[str, str]:
    import warnings

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = api.list_repo_files(to.repo_id, revision=head)
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    operations += [CommitOperationAdd(path, str(source)) for path, source in sorted(publication.files.items())]
    operations += [CommitOperationDelete(path) for path in there if _outdated(path, publication.files)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="It seems that you are about to commit a data file")
        info = api.create_commit(
            to.repo_id, operations, commit_message=publication.title, revision=to.revision, parent_commit=head
        )
    return info.oid, info.commit_url


def _outdated(path: str, files: dict[str, Path]) -> bool:
    """Tell whether a file on the Hub belongs to an earlier push: another audit, or other weights."""
    if path in files:
        return False
    if path.startswith(f"{AUDIT_FOLDER}/") or PurePosixPath(path).suffix in {".safetensors", ".bin", ".pt", ".pth"}:
        return True
    return any(fnmatch(path, pattern) for pattern in MODEL_FILES)


def _landed(api: HfApi, to: Destination, publication: Publication, head: str | None) -> str | None:
    newest = _retried(lambda: api.list_repo_commits(to.repo_id, revision=to.revision))[0]
    return newest.commit_id if newest.commit_id != head and newest.title == publication.title else None


# Faults


def _transient() -> tuple[type[Exception], ...]:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    return (HfHubHTTPError, httpx2.TransportError)


def _raise_unless_worth_retrying(error: BaseException) -> None:
    """Raise an error that would only come again; after a broken connection or an overload, return."""
    response = getattr(error, "response", None)
    if response is not None and response.status_code not in RETRIED_STATUS:
        raise error


def _retried(action: Callable[[], T]) -> T:
    """Do what may be done twice, again after each network fault, and at last let the error through."""
    for wait in WAITS:
        try:
            return action()
        except _transient() as error:
            _raise_unless_worth_retrying(error)
            time.sleep(wait)
    return action()


@contextmanager
def _explained(repo_id: str) -> Iterator[None]:
    """Turn errors of the Hub's client into `HubError`s that say what to do."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        yield
    except HFValidationError as error:
        raise HubError(f"Expected a repository as 'user/name', got {repo_id!r}: {error}") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"There is no repository {repo_id!r}, or it is private and this login may not see it. Check the name, or "
            "run `hf auth login`."
        ) from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(repo_id, error)) from error
    except (LocalEntryNotFoundError, httpx2.TransportError) as error:
        raise HubError(
            f"The Hub cannot be reached for {repo_id!r}: {error}. Check the network, then try again."
        ) from error


def _refusal(repo_id: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    said = getattr(error, "server_message", None) or str(error).splitlines()[0]
    if status == 401:
        return f"The Hub does not accept this login ({said}). Run `hf auth login` with a current token."
    if status == 403:
        return f"This login may not write to {repo_id!r} ({said}). Use a token with the right to write there."
    if status in (409, 412):
        return (
            f"The Hub refused to commit to {repo_id!r}, because something else was changed there ({said}). Nothing of "
            "this push was published; run it again."
        )
    return f"The Hub answered {status} for {repo_id!r} ({said}). Nothing of this push was published."
