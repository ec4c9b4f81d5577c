"""Names that become names of files and folders, checked in one place."""

from __future__ import annotations

import re

from unlearn_audit.errors import ConfigurationError

LONGEST = 200  # bytes of UTF-8; file systems take 255, and endings and numbers are added
_FORBIDDEN = re.compile(r'[/\\<>:"|?*]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # what Windows takes for a device


def checked_name(name: str, of_what: str) -> str:
    """Return `name`, which may then stand in a path on any system.

    Args:
        name: of a study, a model or whatever else has files of its own.
        of_what: in words, for the error: "the study".

    Raises:
        ConfigurationError: for a name that leads elsewhere ("../x"), is hidden, or that some system refuses.
    """
    if _is_safe(name):
        return name
    raise ConfigurationError(
        f"Expected the name of {of_what} to be one that files can have: printable, at most {LONGEST} bytes, without "
        'any of / \\ < > : " | ? *, without a dot or space at an end, and no device of Windows such as NUL. '
        f"Got {name!r}; choose another name."
    )


def _is_safe(name: str) -> bool:
    return (
        bool(name)
        and name.isprintable()
        and name == name.strip(" ")
        and not name.startswith(".")
        and not name.endswith(".")
        and not _FORBIDDEN.search(name)
        and not _DEVICE.fullmatch(name)
        and len(name.encode()) <= LONGEST
    )
