"""Strata: ranges of proximity (or classes, or values of a column). Stratum 0 is the nearest.

Edges come from the retain set; forget and test examples fall into the same edges.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from unlearn_audit.errors import AuditError, ConfigurationError

STRATA = ("quantiles", "equal_width", "top", "same_class", "column")
TOP_SHARES = (0.005, 0.01, 0.05, 0.10)
_SAME = 1e-6  # proximities this close, relative to their size, are one value


@dataclass(frozen=True)
class NeighbourhoodConfig:
    """How neighbourhoods are made.

    Attributes:
        proximity: a name that `unlearn-audit neighbourhoods` lists.
        k: neighbours, for `knn`.
        embedding: what the embeddings are of, in words: "original" for the original model's penultimate layer.
        strata: "quantiles" (equal counts of retain examples), "equal_width", "top" (the nearest 0.5, 1, 5 and 10 %
            and the rest), "same_class" (retain examples of a class that lost examples, and all others) or "column".
        number: of strata, for quantiles (fewer where proximities tie) and equal width.
        column: whose values make the strata, for "column".
    """

    proximity: str = "centroid"
    k: int = 10
    embedding: str = "original"
    strata: str = "quantiles"
    number: int = 10
    column: str | None = None

    def __post_init__(self) -> None:
        if self.strata not in STRATA:
            raise ConfigurationError(f"neighbourhood.strata: expected one of {list(STRATA)}, got {self.strata!r}.")
        for key in ("k", "number"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"neighbourhood.{key}: expected a whole number of at least 1, got {value!r}.")
        if (self.strata == "column") != (self.column is not None):
            raise ConfigurationError("neighbourhood.column: give it with strata: column, and only then.")


@dataclass(frozen=True)
class Stratum:
    """A stratum; `lower` and `upper` bound its proximity (upper included), None where it is open or no range."""

    index: int
    label: str
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Proximity and stratum of n examples.

    Attributes:
        config: how it was made.
        proximity: (n,) larger is nearer.
        stratum: (n,) int, index into `strata`; -1 for none.
        strata: the strata, nearest first.
        description: in words.
        nearest_forget_ids: (n,) id of the forget example of highest cosine, or None where that is not known.
    """

    config: NeighbourhoodConfig
    proximity: np.ndarray
    stratum: np.ndarray
    strata: tuple[Stratum, ...]
    description: str
    nearest_forget_ids: np.ndarray | None = None


def cut(
    config: NeighbourhoodConfig,
    proximity: np.ndarray,
    *,
    is_retain: np.ndarray,
    is_forget: np.ndarray,
    labels: np.ndarray,
    column: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[Stratum, ...]]:
    """Return the stratum of each example (n,) and the strata.

    Equal proximities share a stratum. Quantiles and "top" therefore join strata that hold no retain example to a
    neighbour, and are named by what they hold: the nearest stratum is never empty.

    Args:
        config: how to cut.
        proximity: (n,), finite.
        is_retain: (n,) bool; the retain set gives the edges.
        is_forget: (n,) bool.
        labels: (n,) classes, for "same_class".
        column: (n,) values, for "column".

    Raises:
        AuditError: where there is no retain example, a proximity is not finite, or all are the same.
    """
    if not is_retain.any():
        raise AuditError("Expected retain examples to take the strata's edges from, found none.")
    if not np.isfinite(proximity).all():
        raise AuditError("Expected finite proximities, got NaN or infinity.")
    if config.strata == "same_class":
        return _same_class(labels, is_forget)
    if config.strata == "column":
        return _by_column(config, column)
    retained = proximity[is_retain]
    if config.strata == "top" or config.number > 1:
        _check_spread(retained)
    edges, names = _equal_width(config, retained) if config.strata == "equal_width" else _shares(config, retained)
    return _between(proximity, edges, names)


def _check_spread(retained: np.ndarray) -> None:
    low, high = retained.min(), retained.max()
    if high - low <= _SAME * max(abs(low), abs(high)):
        raise AuditError(
            f"Expected proximities that tell retain examples apart, got {high:g} for all {len(retained)} of them: "
            "have the embeddings collapsed? Give embeddings of another model, or proximities."
        )


def _equal_width(config: NeighbourhoodConfig, retained: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the inner edges, falling, and a name for each stratum (one more than edges)."""
    edges = np.linspace(retained.max(), retained.min(), config.number + 1)[1:-1]
    return edges, [f"{i + 1} of {config.number} equal widths" for i in range(config.number)]


def _shares(config: NeighbourhoodConfig, retained: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the inner edges, falling, and names, as `_equal_width`; retain examples tied at the top are nearest."""
    asked = np.array(TOP_SHARES) if config.strata == "top" else np.arange(1, config.number) / config.number
    below = retained[retained < retained.max()]
    if not len(asked) or not len(below):
        return np.array([]), [_share_name(0, 1)]
    edges = np.minimum(np.quantile(retained, 1 - asked, method="lower"), below.max())
    edges, first = np.unique(edges, return_index=True)
    held = np.array([(retained > edge).mean() for edge in edges])
    exact = np.abs(held - asked[first]) <= 1 / len(retained)  # otherwise ties moved the edge
    shares = np.where(exact, asked[first], held)
    bounds = [0.0, *shares[::-1], 1.0]
    return edges[::-1], [_share_name(low, high) for low, high in itertools.pairwise(bounds)]


def _share_name(low: float, high: float) -> str:
    near, far, rest = (f"{round(100 * share, 1):g}" for share in (low, high, 1 - low))
    if low == 0:
        return f"nearest {far} %"
    return f"farthest {rest} %" if high == 1 else f"{near} to {far} %"


def _between(proximity: np.ndarray, edges: np.ndarray, names: list[str]) -> tuple[np.ndarray, tuple[Stratum, ...]]:
    """An example on an edge belongs to the farther stratum, so that ties stay together."""
    rising = edges[::-1]
    stratum = len(edges) - np.searchsorted(rising, proximity, side="left")
    uppers = [None, *edges.tolist()]
    lowers = [*edges.tolist(), None]
    strata = [Stratum(i, name, lowers[i], uppers[i]) for i, name in enumerate(names)]
    return stratum.astype(np.int64), tuple(strata)


def _same_class(labels: np.ndarray, is_forget: np.ndarray) -> tuple[np.ndarray, tuple[Stratum, ...]]:
    lost = np.unique(labels[is_forget])
    strata = (Stratum(0, "classes that lost examples"), Stratum(1, "all other classes"))
    return np.where(np.isin(labels, lost), 0, 1), strata


def _by_column(config: NeighbourhoodConfig, column: np.ndarray | None) -> tuple[np.ndarray, tuple[Stratum, ...]]:
    if column is None:
        raise AuditError(f"Expected the column {config.column!r} for the strata, got none.")
    values, stratum = np.unique(column.astype(str), return_inverse=True)
    strata = tuple(Stratum(i, f"{config.column} = {value}") for i, value in enumerate(values))
    return stratum.astype(np.int64), strata
