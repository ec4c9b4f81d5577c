"""Ids in what is published: those of forgotten examples, and gaps among those of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unlearn_audit.publishing.attacks._exposure import Exposure, Target

__all__ = ["identifiers"]

SHORTEST = 5  # characters of an id that no ordinary text holds by chance
TEXTS = (".json", ".html", ".md", ".yaml", ".svg")


def identifiers(target: Target) -> Iterator[Exposure]:
    """Name the forgotten examples that a file names, and the training examples that are missing among the others."""
    named = _named(target)
    yield Exposure("names", "Ids that are published", 1.0 if named else target.chance, target.chance, named, "refuse")
    rows = set() if target.rows is None else set(target.rows.column("example_id").to_pylist())
    there = np.isin(target.ids, sorted(rows))
    found = target.found(~there) if there.any() else target.chance
    leaks = bool(there.any()) and found > (1 + target.chance) / 2
    yield Exposure("gaps", "Gaps among the published rows", found, target.chance, leaks, "refuse")


def _named(target: Target) -> bool:
    """Tell whether a published file names a forgotten example."""
    forgotten = set(target.ids[target.is_forget].tolist())
    words = {i for i in forgotten if len(i) >= SHORTEST and not i.isdigit()}
    for path in sorted(target.folder.rglob("*")):
        if path.suffix == ".parquet" and not forgotten.isdisjoint(_values(path)):
            return True
        if path.suffix in TEXTS:
            text = path.read_text(encoding="utf-8")
            if any(_stands_in(word, text) for word in words):
                return True
    return False


def _values(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for column in pq.read_table(path).columns:
        if pa.types.is_string(column.type):
            yield from column.to_pylist()


def _stands_in(word: str, text: str) -> bool:
    """Tell whether an id stands in a text as a word: "train-1" does not in "train-10"."""
    place = text.find(word)
    while place >= 0:
        if not (text[place - 1 : place].isalnum() or text[place + len(word) :][:1].isalnum()):
            return True
        place = text.find(word, place + 1)
    return False
