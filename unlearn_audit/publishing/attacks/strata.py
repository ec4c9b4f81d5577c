"""The published strata of test examples with the original's embeddings: where is the forget set that orders them so?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unlearn_audit.publishing.attacks._exposure import Exposure, Space, Target, scored

__all__ = ["strata"]

RIDGE = 1e-2  # of the largest eigenvalue
NEIGHBOURS = 10
_BLOCK = 4096  # training examples held against all test examples at a time


def strata(target: Target) -> Iterator[Exposure]:
    """Solve for a direction that orders the test examples as their strata do, and look around each training example.

    The first is made for proximity to a centre, the second for proximity to single examples; the better one counts.
    """
    if target.rows is None or target.space is None or not len(target.rows):
        return
    nearness = -target.rows.column("stratum").to_numpy().astype(np.float64)
    space = _matched(target.space, target.rows.column("example_id").to_pylist())
    told = "Strata of test examples, with the original's embeddings"
    found = [scored(target, "strata", told, scores, "figures") for scores in _guesses(space, nearness)]
    yield max(found, key=lambda exposure: exposure.found)


def _matched(space: Space, ids: list[str]) -> Space:
    """Return the space with unit vectors, the test examples in the order of `ids`."""
    place = {example: row for row, example in enumerate(space.test_ids.tolist())}
    test = space.test[[place[i] for i in ids]]
    return Space(_unit(space.train), _unit(test), np.asarray(ids))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float64)


def _guesses(space: Space, nearness: np.ndarray) -> Iterator[np.ndarray]:
    centred = nearness - nearness.mean()
    gram = space.test.T @ space.test
    gram += RIDGE * float(np.linalg.eigvalsh(gram)[-1]) * np.eye(len(gram))
    yield space.train @ np.linalg.solve(gram, space.test.T @ centred)
    around = np.empty(len(space.train))
    nearest = min(NEIGHBOURS, len(space.test)) - 1
    for start in range(0, len(space.train), _BLOCK):
        likeness = space.train[start : start + _BLOCK] @ space.test.T
        chosen = np.argpartition(-likeness, nearest, axis=1)[:, : nearest + 1]
        around[start : start + _BLOCK] = nearness[chosen].mean(axis=1)
    yield around
