"""Proximity and stratum of examples, from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.proximities import registry as proximities
from unlearn_audit.registry import check_count
from unlearn_audit.strata import registry as strata_kinds

if TYPE_CHECKING:
    from unlearn_audit.proximities import Embeddings, Proximity
    from unlearn_audit.strata import Examples, Strata, Stratum


_ORIGINAL = "original"
NO_PROXIMITY = (
    "Expected embeddings to tell who is near the forget set: give the original model's predictions with a column "
    "`embedding`, or a file of embeddings, or a file of proximities. Strata of `same_class` or of a column need none."
)


@dataclass(frozen=True)
class NeighbourhoodConfig:
    """How neighbourhoods are made.

    A proximity or a kind of strata is named as `unlearn-audit neighbourhoods` lists it, and the name can state its
    options: `top(shares=(0.01, 0.1))`.

    Attributes:
        proximity: a name.
        k: for a proximity that has this option, as `knn` has, and whose name does not state it.
        embedding: what the embeddings are of, in words: "original" for the original model's penultimate layer. That
            they were given is said in any case.
        strata: the name of a kind.
        number: for a kind of strata that has this option, as `quantiles` has, and whose name does not state it.
        column: whose values make the strata, for the kind `column`.
    """

    proximity: str = "centroid"
    k: int = 10
    embedding: str = _ORIGINAL
    strata: str = "quantiles"
    number: int = 10
    column: str | None = None

    def __post_init__(self) -> None:
        for key in ("k", "number"):
            check_count(f"neighbourhood.{key}", getattr(self, key))
        needed = self.make_strata().column_needed()
        if self.column is not None and needed != self.column:
            raise ConfigurationError("neighbourhood.column: give it with strata: column, and only then.")

    def make_proximity(self) -> Proximity:
        """Return the proximity with its options; an unknown name or option raises `ConfigurationError`."""
        return proximities.create(self.proximity, k=self.k)

    def make_strata(self) -> Strata:
        """Return the kind of strata with its options; an unknown name or option raises `ConfigurationError`."""
        offered = {} if self.column is None else {"column": self.column}
        return strata_kinds.create(self.strata, number=self.number, **offered)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Proximity and stratum of n examples.

    Attributes:
        config: how it was made.
        proximity: (n,) larger is nearer; None where nothing says it, and the strata need none.
        stratum: (n,) int, index into `strata`; -1 for none.
        strata: the strata, nearest first.
        description: in words.
        nearest_forget_ids: (n,) id of the forget example of highest cosine, or None where that is not known.
        embedding: what the embeddings are of, in words; empty where none were used.
    """

    config: NeighbourhoodConfig
    proximity: np.ndarray | None
    stratum: np.ndarray
    strata: tuple[Stratum, ...]
    description: str
    nearest_forget_ids: np.ndarray | None = None
    embedding: str = ""

    @property
    def nearness(self) -> np.ndarray:
        """The proximity (n,), for what cannot do without; `AuditError` where it is not known."""
        if self.proximity is None:
            raise AuditError(NO_PROXIMITY)
        return self.proximity


def find_neighbourhood(
    config: NeighbourhoodConfig | None = None,
    embeddings: np.ndarray | Embeddings | None = None,
    *,
    is_forget: np.ndarray,
    is_retain: np.ndarray,
    labels: np.ndarray,
    proximity: np.ndarray | None = None,
    column: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    given: bool = False,
) -> Neighbourhood:
    """Find proximity and stratum of n examples.

    Args:
        config: how; ten quantiles of the proximity to the forget centre by default.
        embeddings: (n, d), or a reader of them in blocks, which the proximity is computed from.
        is_forget: (n,) bool.
        is_retain: (n,) bool; the retain set gives the edges of strata. Examples of neither set are test examples.
        labels: (n,) int classes.
        proximity: (n,), larger is nearer: given instead of embeddings, and used as it is.
        column: (n,) values, for strata made from a column.
        ids: (n,) example ids, to name the nearest forget example of each example, which takes embeddings.
        given: whether the embeddings were given for the purpose, and are not the original model's own.

    Raises:
        AuditError: without embeddings or proximities for strata that need them, without a forget or a retain example,
            or where a proximity is not finite, or all are the same.
        ConfigurationError: for an unknown proximity or option.
    """
    from unlearn_audit.strata import Examples

    config = config or NeighbourhoodConfig()
    kind = config.make_strata()
    nearest_ids = None
    if proximity is not None:
        found, how, embeddings = proximity, "proximities given", None
    elif embeddings is not None:
        (found, nearest_ids), how = _near(config, embeddings, is_forget, ids), _how(config, given)
    elif kind.needs_proximity:
        raise AuditError(NO_PROXIMITY)
    else:
        found, how = None, "neighbours by class"
    known = np.zeros(len(labels)) if found is None else found
    stratum, strata = kind(_checked(Examples(known, is_retain, is_forget, labels, column)))
    return Neighbourhood(
        config,
        found,
        stratum,
        strata,
        f"{how}; strata: {kind.describe(len(strata))}",
        nearest_ids,
        "" if embeddings is None else _embedding(config, given),
    )


def _near(
    config: NeighbourhoodConfig, embeddings: np.ndarray | Embeddings, is_forget: np.ndarray, ids: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the proximity (n,), and the ids (n,) of the nearest forget examples where there are ids."""
    from unlearn_audit.proximities import Embeddings

    if not is_forget.any():
        raise AuditError("Expected a forget set with at least one example to be near to, got none.")
    reader = embeddings if isinstance(embeddings, Embeddings) else Embeddings.of(embeddings)
    proximity, own, forget = config.make_proximity(), _own(is_forget), reader.select(is_forget)
    blocks = reader.blocks() if proximity.by_row else [(np.arange(reader.count), reader.whole())]
    places, near, nearest = [], [], []
    for examples, block in blocks:
        places.append(examples)
        near.append(proximity(block, forget, own=own[examples]))
        if ids is not None:
            nearest.append(_nearest_ids(block, forget, own[examples], ids[is_forget]))
    order = np.argsort(np.concatenate(places))
    return np.concatenate(near)[order], np.concatenate(nearest)[order] if nearest else None


def _own(is_forget: np.ndarray) -> np.ndarray:
    """Return for each forget example its index among them, else -1 (n,)."""
    return np.where(is_forget, np.cumsum(is_forget) - 1, -1)


def _checked(examples: Examples) -> Examples:
    if not examples.is_retain.any():
        raise AuditError("Expected retain examples to take the strata's edges from, found none.")
    if not np.isfinite(examples.proximity).all():
        raise AuditError("Expected finite proximities, got NaN or infinity.")
    return examples


def _nearest_ids(embeddings: np.ndarray, forget: np.ndarray, own: np.ndarray, forget_ids: np.ndarray) -> np.ndarray:
    """Return the id (m,) of the forget example of highest cosine; empty for the only one there is."""
    from unlearn_audit.proximities import nearest

    if len(forget_ids) < 2:
        return np.where(own >= 0, "", forget_ids[0])
    _, index = nearest(embeddings, forget, k=1, own=own)
    return np.asarray(forget_ids[index[:, 0]])


def _how(config: NeighbourhoodConfig, given: bool) -> str:
    where = f"an embedding {_embedding(config, given)}" if given else f"the embedding of the {config.embedding} model"
    return f"{config.make_proximity().describe()} in {where}"


def _embedding(config: NeighbourhoodConfig, given: bool) -> str:
    """Say what the embeddings are of: those that were given are not the original's, whatever they are."""
    if not given:
        return config.embedding
    return "given by the user" + (f": {config.embedding}" if config.embedding != _ORIGINAL else "")
