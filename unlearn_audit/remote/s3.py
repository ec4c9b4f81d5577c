"""Files on S3 and on stores that speak as it does: `s3://BUCKET/KEY`, with endpoint and login from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from unlearn_audit.errors import StoreError

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

S3 = "s3://"
_ATTEMPTS = 4  # of a request whose connection breaks, or that an overloaded store turns away
_CONNECT, _ANSWER = 10, 60  # seconds
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LOGIN = re.compile(r"[a-z0-9+]+://[^/@]*@", re.IGNORECASE)
_SAID = re.compile(r"AWS Error ([A-Z_]+)(?: \(HTTP status (\d+)\))?")
_REFUSALS = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "INVALID_SIGNATURE", "EXPIRED")


def checked_place(source: str) -> str:
    """Return a path or an address, if it is one that is read and that may stand in a report.

    Raises:
        StoreError: for web addresses, also signed ones, and for a login in an address; it does not repeat them.
    """
    if source.lower().startswith(("http://", "https://")):
        raise StoreError(
            "Expected a file of this machine, hf://… or s3://BUCKET/KEY, got a web address, which may hold a signature "
            "that nobody else should see. Fetch it, or give bucket and key, and the login by AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    if _LOGIN.match(source) and not source.startswith("hf://"):
        raise StoreError(
            "Expected an address without a login in it, which would stand in the report, got one with it. Give the "
            "login by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if source.startswith(S3):
        _bucket_and_key(source)
    return source


def _bucket_and_key(source: str) -> tuple[str, str]:
    bucket, _, key = source.removeprefix(S3).partition("/")
    if not _BUCKET.fullmatch(bucket) or not key or key.endswith("/") or "?" in key:
        raise StoreError("Expected s3://BUCKET/KEY, a file's bucket and key and nothing after them, got another form.")
    return bucket, key


def s3_handle(source: str) -> Any:
    """Return an Arrow file of `s3://BUCKET/KEY`, which reads the ranges that it is asked for.

    The endpoint is AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, the region AWS_REGION or AWS_DEFAULT_REGION. Arrow finds
    the login in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in a profile, or in the machine's role, and asks without
    one where there is none.

    Raises:
        StoreError: where there is no such file, it may not be read, or the store cannot be reached.
    """
    bucket, key = _bucket_and_key(checked_place(source))
    files = _store()
    with s3_explained(source):
        return files.open_input_file(f"{bucket}/{key}")


def s3_content(handle: Any) -> str:
    """Return what the store called the content when a file was opened: another content has another name."""
    said = {name: value.decode(errors="replace") for name, value in (handle.metadata() or {}).items()}
    if said.get("ETag"):
        return f"etag:{said['ETag'].strip(chr(34))}"
    return f"{handle.size()} bytes of {said.get('Last-Modified', 'no date')}"


def check_unchanged(source: str, before: str, now: str) -> None:
    """Raise `StoreError` where a store calls the content of a file something else than before it was read."""
    if now != before:
        raise StoreError(
            f"{source} changed while it was read, so that parts of two files would be one. Run this again once nothing "
            "writes to it."
        )


@contextmanager
def s3_explained(source: str) -> Iterator[None]:
    """Turn what Arrow says of a store's faults into a `StoreError` that says what to do, and holds no login."""
    try:
        yield
    except OSError as error:
        said = _SAID.search(str(error))
        if said is None and not isinstance(error, FileNotFoundError):
            raise
        code, status = said.groups() if said else ("NO_SUCH_KEY", None)
        raise StoreError(_sentence(source, code, status)) from None  # what Arrow says may hold what the store says


def _sentence(source: str, code: str, status: str | None) -> str:
    where = _host() or "AWS"
    if code.startswith("NO_SUCH"):
        return f"There is no file {source!r} at {where}: no such bucket or key. Check both, and AWS_ENDPOINT_URL."
    if any(code.startswith(refusal) for refusal in _REFUSALS):
        login = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        found = "refused this login" if os.environ.get("AWS_ACCESS_KEY_ID") else f"refused, and {login} are not set"
        return f"{source} was not read: {where} {found} ({code}). Give {login} of somebody who may read it."
    if code == "NETWORK_CONNECTION":
        return (
            f"{source} was not read: {where} cannot be reached, or the connection broke {_ATTEMPTS} times. Check the "
            "network and AWS_ENDPOINT_URL, then try again."
        )
    if status == "301":
        return f"{source} was not read: the bucket lies in another region. Set AWS_REGION to its."
    return f"{source} was not read: {where} answered {status or code}. Try again later."


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _host() -> str:
    """Return host and port of the endpoint, without a login; nothing where none is named."""
    return urlsplit(_endpoint()).netloc.rpartition("@")[2]


def _store() -> S3FileSystem:
    from pyarrow import fs

    address = urlsplit(_endpoint())
    if _endpoint() and (
        address.scheme not in ("http", "https") or not _host() or "@" in address.netloc or address.path.strip("/")
    ):
        raise StoreError("Expected http://HOST[:PORT] or https://… in AWS_ENDPOINT_URL, without a login, got another.")
    return fs.S3FileSystem(
        endpoint_override=_host() or None,
        scheme=address.scheme or "https",
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        connect_timeout=_CONNECT,
        request_timeout=_ANSWER,
    )
