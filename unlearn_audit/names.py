"""Names: checked where people give them, made to fit where they become names of files, and harmless in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from unlearn_audit.errors import ConfigurationError

LONGEST = 200  # bytes of UTF-8; file systems take 255, and endings and numbers are added
LONGEST_TEXT = 1000  # characters of a title or a description
_SHORT = 40  # characters, of 4 bytes at most
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


def checked_text(text: str, of_what: str, *, printable: bool = True) -> str:
    """Return `text`, which files can hold and a terminal can show.

    Args:
        text: a name, a title or a description.
        of_what: in words, for the error: "a model's name".
        printable: refuse what is not printable too, such as escape characters; otherwise only what is no Unicode.

    Raises:
        ConfigurationError: for lone surrogates, more than 1,000 characters, and what is not printable.
    """
    if len(text) <= LONGEST_TEXT and is_unicode(text) and (text.isprintable() or not printable):
        return text
    raise ConfigurationError(
        f"Expected {of_what} of at most {LONGEST_TEXT:,} characters, all of them Unicode"
        f"{' and printable' if printable else ''}, got {text[:_SHORT]!a}{'…' if len(text) > _SHORT else ''}."
    )


def shown(text: str) -> str:
    r"""Return `text` as a terminal may show it: what is not printable, but for line breaks, as an escape.

    >>> shown("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def leads_elsewhere(path: str) -> bool:
    """Whether the path of a file in a repository or a report leads out of its folder, on any system."""
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or ":" in path or not path.isprintable()


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate, which UTF-8 cannot hold."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def file_name(name: str, suffix: str, taken: Iterable[str] = ()) -> str:
    """Return a name for a file of the model `name`, whatever that is; on no system the same as one of those `taken`."""
    stem = name if _is_safe(name) else "model-" + re.sub(r"[^\w-]+", "-", name)[:_SHORT]
    folded, place, found = {other.casefold() for other in taken}, 1, stem + suffix
    while found.casefold() in folded:
        place += 1
        found = f"{stem}-{place}{suffix}"
    return found


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
