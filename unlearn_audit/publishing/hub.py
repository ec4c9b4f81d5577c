"""Publish a model with its audit on the Hugging Face Hub, and fetch one back.

A push is **one** commit: it arrives whole, or the repository stays as it was. What goes into it, and what stays behind
so that nobody can tell whom the forget set held, is decided in `publication.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from unlearn_audit import __version__
from unlearn_audit.errors import ConfigurationError, HubError
from unlearn_audit.models.listing import check_listing
from unlearn_audit.names import checked_name
from unlearn_audit.publishing.attacks import Exposure
from unlearn_audit.publishing.publication import OWNER, Publication, prepare_publication
from unlearn_audit.publishing.staging import AUDIT_FOLDER, AUDITS_FOLDER, CARD, RESULTS_FOLDER, Layout
from unlearn_audit.remote import faults
from unlearn_audit.remote.faults import explained, raise_unless_worth_retrying, retried, transient
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.saved.manifest import MANIFEST
from unlearn_audit.saved.verify import MODEL_FILES

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

    from unlearn_audit.reporting.pictures import ImageSource

# Of a repository, what `verify` looks at.
AUDITED_FILES = (f"{AUDIT_FOLDER}/*", f"{AUDITS_FOLDER}/*", CARD, f"{RESULTS_FOLDER}/unlearn-audit*", *MODEL_FILES)
LIBRARY = "unlearn-audit"


@dataclass(frozen=True)
class Destination:
    """Where to push.

    Attributes:
        repo_id: `user/name`.
        private: make the repository private where it has to be made.
        revision: a branch; the main one by default.
        create_pr: put an audit of somebody else's model into a pull request there: report and card in a folder of one's
            own, and nothing of the model.
        endpoint: another Hub than the default.
        token: another login than the one of this machine.
    """

    repo_id: str
    private: bool = False
    revision: str | None = None
    create_pr: bool = False
    endpoint: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.create_pr and (self.private or self.revision):
            raise ConfigurationError("Expected a pull request to a repository that is there: not private, no branch.")


@dataclass(frozen=True)
class PushResult:
    """What a push put on the Hub, or would put.

    Attributes:
        repo_id: where.
        files: sizes in bytes by path.
        withheld: what was left out, and why.
        commit: id of the commit; None where nothing was pushed.
        url: of the commit, or of the pull request.
        exposures: what attacks found in what was pushed.
        inferred: what the card's metadata say that was not given: `license`, `base_model`.
    """

    repo_id: str
    files: dict[str, int]
    withheld: tuple[str, ...]
    commit: str | None
    url: str | None
    exposures: tuple[Exposure, ...] = ()
    inferred: Mapping[str, str] = field(default_factory=dict)


def push(
    folder: str | Path,
    destination: Destination | str,
    *,
    model_folder: str | Path | None = None,
    choices: PublishChoices | None = None,
    images: ImageSource | None = None,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> PushResult:
    """Publish the model in `model_folder` with the audit in `folder`, as one commit.

    Every figure of the audit is computed again first: what was edited is not published. Then attacks are run on what
    would be published, and what they can tell the forgotten examples by is left out.

    Args:
        folder: of the audit's report.
        destination: a `Destination`, or only its `user/name`.
        model_folder: configuration, safetensors weights and image processor of the audited candidate. For a pull
            request it is fetched from there by default.
        choices: what may be published; by default nothing that tells who was forgotten, and no model that failed.
        images: gives the published report its pictures; without it there are none.
        dry_run: say what would be pushed, and change nothing; the Hub is asked for the base model's card alone.
        progress: of computing the figures: called with what is done, how many examples are, and how many there are.

    Raises:
        HubError: for a name that is no repository's, without a login, where the Hub refuses or cannot be reached; the
            repository is then as it was.
        AuditError: where the report is not what its inputs say, without a verdict (unless forced), for a model that
            failed (unless allowed), and where the weights are not those that were audited.
    """
    to = Destination(destination) if isinstance(destination, str) else destination
    with TemporaryDirectory() as staging, explained(to.repo_id):
        _check_name(to.repo_id)
        layout = Layout(_user(to), own=False) if to.create_pr else OWNER
        publication = prepare_publication(
            Path(folder),
            Path(model_folder) if model_folder is not None else _model_there(to),
            Path(staging) / "staged",
            repo_id=to.repo_id,
            choices=choices or PublishChoices(),
            images=images,
            layout=layout,
            look_up=partial(_looked_up, to),
            progress=progress,
        )
        sizes = {path: source.stat().st_size for path, source in sorted(publication.files.items())}
        commit, url = (None, None) if dry_run else _publish(_api(to), to, publication, layout)
    return PushResult(to.repo_id, sizes, publication.withheld, commit, url, publication.exposures, publication.inferred)


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
        repo_id: `user/name`, or `user/name@revision`; a leading `hub:` is left out.
        only: patterns of the files to fetch, such as `MODEL_FILES`; all by default.
        revision: branch, tag or commit.
        endpoint: another Hub than the default.
        token: another login than this machine's.

    Raises:
        HubError: where there is no such repository or revision, its files lead elsewhere or do not fit on the disk, or
            the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    repo_id, _, named = repo_id.removeprefix("hub:").partition("@")
    revision = revision or named or None
    with explained(repo_id):
        check_listing(repo_id, revision=revision, only=only, endpoint=endpoint, token=token)
        folder = retried(
            lambda: snapshot_download(
                repo_id,
                revision=revision,
                endpoint=endpoint,
                token=token or None,
                allow_patterns=None if only is None else list(only),
                library_name=LIBRARY,
                library_version=__version__,
            )
        )
    return Path(folder)


def audits_in(folder: str | Path) -> list[Path]:
    """Return the folders of all audits in a fetched repository: the owner's, then those of others by name.

    Raises:
        HubError: where there is none.
    """
    root = Path(folder)
    others = sorted(root.glob(f"{AUDITS_FOLDER}/*/{MANIFEST}"))
    found = [path.parent for path in (root / AUDIT_FOLDER / MANIFEST, *others) if path.is_file()]
    if not found:
        raise HubError("The repository holds no audit: neither audit/ nor audits/NAME/ has a manifest.json.")
    return found


def _check_name(repo_id: str) -> None:
    """Raise `HFValidationError` for what the Hub would refuse, without asking it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    validate_repo_id(repo_id)
    if repo_id.count("/") != 1:
        raise HFValidationError("it names no user")


def _user(to: Destination) -> str:
    """Return the name of the login, under which an audit of another's model is filed."""
    name: str = retried(lambda: _api(to).whoami())["name"]
    return checked_name(name, "an auditor")


def _model_there(to: Destination) -> Path:
    if not to.create_pr:
        raise ConfigurationError("Expected the folder of the audited model, to publish it with its audit; got none.")
    return pull(to.repo_id, only=MODEL_FILES, endpoint=to.endpoint, token=to.token)


def _looked_up(to: Destination, repo_id: str) -> ModelInfo | None:
    """Return what the Hub says of a model; None where it says nothing, for whatever reason."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    api = HfApi(endpoint=to.endpoint, token=to.token, library_name=LIBRARY, library_version=__version__)
    try:
        return retried(lambda: api.model_info(repo_id))
    except OfflineModeIsEnabled:
        return None
    except transient():
        return None


def _api(to: Destination) -> HfApi:
    from huggingface_hub import HfApi, get_token

    token = to.token or get_token()
    if token is None:
        raise HubError(
            f"Expected a login to push to {to.repo_id!r}, found none. Run `hf auth login`, or set HF_TOKEN to a token "
            "that may write (https://huggingface.co/settings/tokens)."
        )
    return HfApi(endpoint=to.endpoint, token=token, library_name=LIBRARY, library_version=__version__)


def _publish(api: HfApi, to: Destination, publication: Publication, layout: Layout) -> tuple[str | None, str | None]:
    """Commit the publication; return the commit's id and address, of a pull request that request's."""
    retried(api.whoami)
    if not to.create_pr:
        _ensure_repository(api, to)
    head = retried(lambda: api.model_info(to.repo_id, revision=to.revision).sha)
    last: BaseException | None = None
    for wait in (0.0, *faults.WAITS):
        time.sleep(wait)
        try:
            return _commit_once(api, to, publication, head, layout)
        except transient() as error:
            raise_unless_worth_retrying(error)
            last = error
        # The answer may have been lost after the commit had been made: never make it twice.
        landed = _landed(api, to, publication, head)
        if landed is not None:
            return landed
    raise HubError(
        f"The Hub failed {len(faults.WAITS) + 1} times while committing to {to.repo_id!r} ({last}). Nothing was "
        "published; run the same command again later."
    ) from last


def _ensure_repository(api: HfApi, to: Destination) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = retried(lambda: api.model_info(to.repo_id))
    except RepositoryNotFoundError:
        retried(lambda: api.create_repo(to.repo_id, private=to.private, exist_ok=True))
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
        retried(lambda: api.model_info(to.repo_id, revision=branch))
    except RevisionNotFoundError:
        retried(lambda: api.create_branch(to.repo_id, branch=branch, exist_ok=True))


def _commit_once(
    api: HfApi, to: Destination, publication: Publication, head: str | None, layout: Layout
) -> tuple[str, str]:
    import warnings

    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = api.list_repo_files(to.repo_id, revision=head)
    operations: list[CommitOperationAdd | CommitOperationDelete] = []
    operations += [CommitOperationAdd(path, str(source)) for path, source in sorted(publication.files.items())]
    operations += [CommitOperationDelete(path) for path in there if _outdated(path, publication.files, layout)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="It seems that you are about to commit a data file")
        info = api.create_commit(
            to.repo_id,
            operations,
            commit_message=publication.title,
            revision=to.revision,
            parent_commit=head,
            create_pr=to.create_pr or None,
        )
    return info.oid, info.pr_url or info.commit_url


def _outdated(path: str, files: dict[str, Path], layout: Layout) -> bool:
    """Tell whether a file on the Hub belongs to an earlier push: another audit, or other weights."""
    if path in files:
        return False
    if path.startswith(f"{layout.audit}/") or path == layout.results:
        return True
    if not layout.own:
        return False
    weights = PurePosixPath(path).suffix in {".safetensors", ".bin", ".pt", ".pth"}
    return weights or any(fnmatch(path, pattern) for pattern in MODEL_FILES)


def _landed(api: HfApi, to: Destination, publication: Publication, head: str | None) -> tuple[str, str] | None:
    """Return id and address of the commit, or of the pull request, that was made though its answer was lost."""
    if to.create_pr:
        asked = retried(lambda: list(api.get_repo_discussions(to.repo_id, discussion_type="pull_request")))
        opened = next((request for request in asked if request.title == publication.title), None)
        return None if opened is None else (opened.git_reference or "", opened.url)
    newest = retried(lambda: api.list_repo_commits(to.repo_id, revision=to.revision))[0]
    if newest.commit_id == head or newest.title != publication.title:
        return None
    return newest.commit_id, f"{api.endpoint}/{to.repo_id}/commit/{newest.commit_id}"
