"""The forget set as an audit needs it: ids, and what a report says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlearn_audit.errors import AuditError
from unlearn_audit.files import write_text
from unlearn_audit.id_files import read_ids
from unlearn_audit.names import is_unicode


@dataclass(frozen=True)
class Forgotten:
    """The ids of the forget set, a description in words, and a hash."""

    ids: tuple[str, ...]
    description: str
    hash: str

    def __post_init__(self) -> None:
        texts = (*self.ids, self.description, self.hash)
        if not all(isinstance(text, str) for text in texts):
            raise AuditError("Expected ids, description and hash of a forget set as text, got something else.")
        wrong = next((text for text in texts if not is_unicode(text)), None)
        if wrong is not None:
            raise AuditError(f"Expected ids and description of a forget set as Unicode, got {wrong[:60]!a}.")

    @classmethod
    def of(cls, ids: Iterable[object]) -> Forgotten:
        """Take ids, strings or integers, of which nothing else is known; the hash is over the sorted ids."""
        listed = tuple(str(i) for i in ids)
        digest = hashlib.sha256("\n".join(sorted(listed)).encode(errors="surrogatepass")).hexdigest()
        return cls(listed, "given by id", digest)

    @classmethod
    def read(cls, path: Path) -> Forgotten:
        """Read a list of ids, or what `save` or a `ForgetSet` wrote; anything else raises `AuditError`."""
        content = read_ids(path)
        saved: dict[str, Any] = content if isinstance(content, dict) else {"ids": content}
        if not isinstance(saved.get("ids"), list):
            raise AuditError(f"{path}: expected a list of example ids or a saved forget set.")
        plain = cls.of(saved["ids"])
        return cls(plain.ids, saved.get("description", plain.description), saved.get("hash") or plain.hash)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps({"description": self.description, "hash": self.hash, "ids": self.ids}, indent=1))


def commitment(ids: Iterable[str], salt: str) -> str:
    """Return the hash by which a published report commits to a forget set: SHA-256, in hex, of lines of text.

    The lines are the salt and then the sorted ids, each ended by a line feed, so that `sha256sum` gives the same. Who
    is shown salt and ids can check that these are the ones; who does not know the salt can try no guess.
    """
    lines = [salt, *sorted(ids)]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
