"""Faults on the way to the Hub: which are worth another try, and what to say of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from unlearn_audit.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

T = TypeVar("T")

# Seconds to wait before each new attempt after a network fault.
WAITS: Sequence[float] = (1.0, 3.0, 9.0)
RETRIED_STATUS = frozenset({408, 429, 500, 502, 503, 504})


def transient() -> tuple[type[Exception], ...]:
    """Return the errors that a broken connection or an overloaded server ends in, among others."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    return (HfHubHTTPError, httpx2.TransportError)


def raise_unless_worth_retrying(error: BaseException) -> None:
    """Raise an error that would only come again; after a broken connection or an overload, return."""
    response = getattr(error, "response", None)
    if response is not None and response.status_code not in RETRIED_STATUS:
        raise error


def retried(action: Callable[[], T]) -> T:
    """Do what may be done twice, again after each network fault, and at last let the error through."""
    for wait in WAITS:
        try:
            return action()
        except transient() as error:
            raise_unless_worth_retrying(error)
            time.sleep(wait)
    return action()


def refused(repo_id: str, error: BaseException | None) -> str | None:
    """Return what to do where an error, or what it came from, is that a repository is gated, private or not there."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):  # which is a `RepositoryNotFoundError` too
        return (
            f"The repository {repo_id!r} is gated: ask for access on its page, https://huggingface.co/{repo_id}, with "
            "the account of this login (`hf auth whoami`), and try again once it is granted."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no repository {repo_id!r}, or it is private and this login may not see it. Check the name, or "
            "run `hf auth login`."
        )
    return None if error is None else refused(repo_id, error.__cause__)


@contextmanager
def explained(repo_id: str) -> Iterator[None]:
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
        raise HubError(refused(repo_id, error)) from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(repo_id, error)) from error
    except httpx2.TimeoutException as error:
        raise HubError(
            f"The Hub did not answer in time for {repo_id!r} ({error}). Try again; on a slow line set "
            "HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT to more seconds. What was fetched is kept."
        ) from error
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
