"""How often the likelihood ratio of a single deleted example says that a model saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.likelihood import likelihood_ratios
from unlearn_audit.auditing.membership import clipped_margins
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool
from unlearn_audit.populations import FORGET

DRAWS = 300


@dataclass(frozen=True)
class ExampleCell:
    """Deleted examples of models of one kind, by K references and one original.

    Attributes:
        kind: of the models.
        num_references: K.
        seen: share of deleted examples that are at least ten times likelier seen than not.
        not_seen: share that are at least ten times likelier not seen.
    """

    kind: str
    num_references: int
    seen: float
    not_seen: float


def example_cells(pool: Pool, numbers: list[int], rng: np.random.Generator) -> tuple[ExampleCell, ...]:
    """Draw references and an original, which is never the model itself, for models of each kind."""
    margins = {kind: np.stack([_margins(pool, logits) for logits in found]) for kind, found in pool.logits.items()}
    kinds = [kind for kind in margins if kind != ORIGINAL or len(margins[ORIGINAL]) > 1]
    return tuple(_cell(margins, kind, k, rng) for kind in kinds for k in numbers)


def _cell(margins: dict[str, np.ndarray], kind: str, k: int, rng: np.random.Generator) -> ExampleCell:
    ratios = np.stack([_drawn(margins, kind, k, rng) for _ in range(DRAWS)])
    return ExampleCell(kind, k, float((ratios >= 1).mean()), float((ratios <= -1).mean()))


def _drawn(margins: dict[str, np.ndarray], kind: str, k: int, rng: np.random.Generator) -> np.ndarray:
    model = int(rng.integers(len(margins[kind])))

    def others(of: str, count: int) -> np.ndarray:
        possible = [i for i in range(len(margins[of])) if of != kind or i != model]
        return margins[of][rng.choice(possible, size=count, replace=False)]

    return likelihood_ratios(margins[kind][model], others(ORIGINAL, 1), others(HONEST, k))


def _margins(pool: Pool, logits: np.ndarray) -> np.ndarray:
    """Return the margin of each deleted example (f,), as the audit computes it."""
    from scipy.special import logsumexp

    deleted = np.flatnonzero(pool.population == FORGET)
    found, every = logits[deleted].astype(np.float64), np.arange(len(deleted))
    own = found[every, pool.labels[deleted]]
    found[every, pool.labels[deleted]] = -np.inf
    return clipped_margins(own - logsumexp(found, axis=1))
