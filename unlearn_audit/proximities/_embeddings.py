"""Embeddings a block at a time, so that those of millions of examples need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of n examples, wherever they are and in whatever order.

    Attributes:
        count: n.
        read: yields all of them as they are stored, (m, d) at a time; anew at each call.
        places: (N,) for each that is stored the example that it is of, or -1 for one that is not asked for; None where
            they are stored in the order of the examples.
    """

    count: int
    read: Callable[[], Iterator[np.ndarray]]
    places: np.ndarray | None = None

    @classmethod
    def of(cls, array: np.ndarray) -> Embeddings:
        """Take an array (n, d) in the order of the examples."""
        return cls(len(array), lambda: (array[at : at + BLOCK_ROWS] for at in range(0, len(array), BLOCK_ROWS)))

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield which examples (m,) and their embeddings (m, d), each example once."""
        start = 0
        for block in self.read():
            stop = start + len(block)
            places = np.arange(start, stop) if self.places is None else self.places[start:stop]
            start = stop
            known = places >= 0
            yield (places, block) if known.all() else (places[known], block[known])

    def select(self, wanted: np.ndarray) -> np.ndarray:
        """Return the embeddings (f, d) of some examples, (n,) bool, in the order of the examples."""
        order = np.cumsum(wanted) - 1
        places, parts = [], []
        for examples, block in self.blocks():
            mine = wanted[examples]
            places.append(order[examples[mine]])
            parts.append(block[mine])
        found = np.concatenate(parts)
        return found[np.argsort(np.concatenate(places))]

    def whole(self) -> np.ndarray:
        """Return all (n, d) in the order of the examples."""
        return self.select(np.ones(self.count, dtype=bool))
