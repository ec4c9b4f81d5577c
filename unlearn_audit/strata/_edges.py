"""Strata that are ranges of proximity. Edges come from the retain set; forget and test examples fall into them too."""

from __future__ import annotations

import itertools

import numpy as np

from unlearn_audit.errors import AuditError
from unlearn_audit.strata._strata import Stratum

_SAME = 1e-6  # proximities this close, relative to their size, are one value


def check_spread(retained: np.ndarray) -> None:
    """Raise `AuditError` where the proximities (m,) of retain examples are all the same."""
    low, high = retained.min(), retained.max()
    if high - low <= _SAME * max(abs(low), abs(high)):
        raise AuditError(
            f"Expected proximities that tell retain examples apart, got {high:g} for all {len(retained)} of them: "
            "have the embeddings collapsed? Give embeddings of another model, or proximities."
        )


def shares(retained: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the inner edges, falling, that part retain examples into shares, and a name for each stratum.

    Equal proximities share a stratum: strata that would hold no retain example are joined to a neighbour, and each is
    named by what it holds, so that the nearest is never empty.

    Args:
        retained: (m,) proximities of retain examples.
        asked: (s,) the cumulated shares, rising, in (0, 1), counted from the nearest.
    """
    below = retained[retained < retained.max()]
    if not len(asked) or not len(below):
        return np.array([]), [_share_name(0, 1)]
    edges = np.minimum(np.quantile(retained, 1 - asked, method="lower"), below.max())
    edges, first = np.unique(edges, return_index=True)
    held = np.array([(retained > edge).mean() for edge in edges])
    exact = np.abs(held - asked[first]) <= 1 / len(retained)  # otherwise ties moved the edge
    bounds = [0.0, *np.where(exact, asked[first], held)[::-1], 1.0]
    return edges[::-1], [_share_name(low, high) for low, high in itertools.pairwise(bounds)]


def between(proximity: np.ndarray, edges: np.ndarray, names: list[str]) -> tuple[np.ndarray, tuple[Stratum, ...]]:
    """Return stratum (n,) and strata from falling inner edges and names, of which there is one more than edges.

    An example on an edge belongs to the farther stratum, so that ties stay together.
    """
    stratum = len(edges) - np.searchsorted(edges[::-1], proximity, side="left")
    uppers = [None, *edges.tolist()]
    lowers = [*edges.tolist(), None]
    strata = [Stratum(i, name, lowers[i], uppers[i]) for i, name in enumerate(names)]
    return stratum.astype(np.int64), tuple(strata)


def _share_name(low: float, high: float) -> str:
    near, far, rest = (f"{round(100 * share, 1):g}" for share in (low, high, 1 - low))
    if low == 0:
        return f"nearest {far} %"
    return f"farthest {rest} %" if high == 1 else f"{near} to {far} %"
