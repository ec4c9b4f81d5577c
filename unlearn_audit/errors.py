"""What can go wrong, as a tree.

    UnlearnAuditError
    ├── ConfigurationError      a configuration, option or name that is wrong or unknown
    ├── DataError               images, labels, columns or ids that cannot be used
    │   ├── ForgetSetError      a forget set that is empty, everything, unknown or made for other data
    │   └── PredictionsError    files of predictions that cannot be read or do not fit together
    ├── ModelError              a model that cannot be built, loaded, embedded or trained
    │   └── MethodError         an unlearning method used in a way that cannot work
    ├── AuditError              an audit that its inputs do not allow
    │   └── VerificationError   a saved report that does not agree with its inputs
    ├── HubError                the Hub cannot be reached, or refused
    ├── StoreError              an S3-compatible store cannot be reached, or refused, or an address is not read
    └── StorageError            a disk that is full, or a file that cannot be read or written

Every message says what was expected, what came, and what to do. The command line prints the message alone and
exits with 1 (2 for a ConfigurationError), never with a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 40  # names in a message


class UnlearnAuditError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(UnlearnAuditError, ValueError):
    """A configuration, option or name that is wrong or unknown."""


class DataError(UnlearnAuditError, ValueError):
    """Images, labels, columns or ids that cannot be used."""


class ForgetSetError(DataError):
    """A forget set that is empty, everything, unknown or made for other data."""


class PredictionsError(DataError):
    """Files of predictions that cannot be read or do not fit together."""


class ModelError(UnlearnAuditError, RuntimeError):
    """A model that cannot be built, loaded, embedded or trained."""


class MethodError(ModelError):
    """An unlearning method used in a way that cannot work."""


class AuditError(UnlearnAuditError, ValueError):
    """An audit that its inputs do not allow."""


class VerificationError(AuditError):
    """A saved report that does not agree with its inputs."""


class HubError(UnlearnAuditError, RuntimeError):
    """The Hub cannot be reached, or refused."""


class StoreError(UnlearnAuditError, RuntimeError):
    """An S3-compatible store cannot be reached, or refused, or an address is none that is read."""


class StorageError(UnlearnAuditError, OSError):
    """A disk that is full, or a file that cannot be read or written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest of `known`, else a list of them, which is cut where it is long."""
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if nearest:
        return f" Did you mean {nearest[0]!r}?"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f" Known: {', '.join(known[:_LISTED])}{more}." if known else ""
