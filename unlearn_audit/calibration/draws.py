"""Random audits: K of N retrained models as references, and one of known nature as the candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.discrepancy import discrepancies
from unlearn_audit.auditing.groups import Question, question_groups
from unlearn_audit.auditing.questions import GroupFigures
from unlearn_audit.calibration.deceivers import DECEIVERS
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool
from unlearn_audit.measures import registry
from unlearn_audit.populations import FORGET, TEST
from unlearn_audit.predictions import Predictions

DECEIVED = 4  # honest models that each deceiver is made from
FOLLOWING = "follows"  # key of a pool's recipe: kinds whose i-th model was made from the i-th original


@dataclass(frozen=True, eq=False)
class KindFigures:
    """The M models of one kind in G groups, against all N retrained models.

    Attributes:
        levels: (M, G) mean confidence in the label.
        discrepancies: (M, N, G) mean discrepancy; NaN of a model to itself.
        disagreement: (M, N, G) share of examples with another top-1 class.
        source: (M,) which retrained model it was made from, or -1: that one is never its reference.
        original: (M,) which original it was made from, or -1: the neighbourhood is that of this original.
    """

    levels: np.ndarray
    discrepancies: np.ndarray
    disagreement: np.ndarray
    source: np.ndarray
    original: np.ndarray


@dataclass(frozen=True, eq=False)
class PoolFigures:
    """A pool's figures in the groups around one original's neighbourhood, by kind of model."""

    names: tuple[str, ...]
    questions: tuple[Question, ...]
    counts: tuple[int, ...]
    kinds: Mapping[str, KindFigures]

    @property
    def num_retrained(self) -> int:
        """N."""
        return len(self.kinds[HONEST].levels)


def measured(
    pool: Pool, measure: str = "js", *, forget_size: int | None = None, seed: int = 0
) -> tuple[PoolFigures, ...]:
    """Compare all models of a pool with its retrained ones, once for each original's neighbourhood.

    Args:
        pool: of models.
        measure: of the pattern.
        forget_size: look at so many deleted examples only, drawn by `seed` for each neighbourhood anew; None takes all.
        seed: of that choice, and of the deceivers.
    """
    rng = np.random.default_rng(seed)
    return tuple(_measured(pool, place, measure, forget_size, rng) for place in range(len(pool.proximity)))


def _measured(pool: Pool, place: int, measure: str, forget_size: int | None, rng: np.random.Generator) -> PoolFigures:
    population = pool.population
    if forget_size is not None:  # the others of the forget set take no part
        forget = np.flatnonzero(population == FORGET)
        left_out = rng.permutation(forget)[forget_size:]
        population = population.copy()
        population[left_out] = -1
    groups = question_groups(population, pool.proximity[place], pool.labels)
    models = _all_models(pool, place, rng)
    members = np.stack([group.members for group in groups], axis=1)  # (n, G)
    sources = {kind: [_predictions(pool, logits) for logits in found] for kind, found in models.items()}
    retrained = sources[HONEST]
    others = [source for kind, found in sources.items() if kind != HONEST for source in found]
    chosen = [registry.create(measure), registry.create("disagreement")]
    (pattern, top1), scores = discrepancies(others, retrained, members, chosen)
    levels = np.stack([score.confidence.astype(np.float64) @ members for score in scores]) / members.sum(axis=0)
    kinds = {
        HONEST: KindFigures(
            levels[len(others) :],
            pattern.references,
            top1.references,
            np.arange(len(retrained)),
            np.full(len(retrained), -1),
        )
    }
    start = 0
    for kind, found in sources.items():
        if kind == HONEST:
            continue
        part = slice(start, start + len(found))
        start += len(found)
        made = np.arange(len(found)) if kind in DECEIVERS else np.full(len(found), -1)
        follows = kind == ORIGINAL or kind in pool.recipe.get(FOLLOWING, ())
        original = np.arange(len(found)) if follows else np.full(len(found), -1)
        kinds[kind] = KindFigures(levels[part], pattern.models[part], top1.models[part], made, original)
    questions = tuple(group.question for group in groups)
    return PoolFigures(tuple(g.name for g in groups), questions, tuple(g.count for g in groups), kinds)


def _all_models(pool: Pool, place: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    made = {
        kind: np.stack([deceive(pool, logits, place, rng) for logits in pool.logits[HONEST][:DECEIVED]])
        for kind, deceive in DECEIVERS.items()
    }
    return {**pool.logits, **made}


def _predictions(pool: Pool, logits: np.ndarray) -> Predictions:
    splits = np.where(pool.population == TEST, "test", "train")
    return Predictions(pool.example_ids, splits, pool.labels, np.asarray(logits, np.float32))


@dataclass(frozen=True, eq=False)
class RandomAudit:
    """One random audit: the candidate's index within its kind, and the figures of each group."""

    model: int
    figures: tuple[GroupFigures, ...]


def random_audits(
    figures: tuple[PoolFigures, ...], kind: str, k: int, draws: int, rng: np.random.Generator
) -> Iterator[RandomAudit]:
    """Yield audits with K references drawn without replacement, and a candidate of one kind drawn among its models.

    An honest candidate is a further retrained model. The neighbourhood is that of a random original, or of the one that
    the candidate was made from.
    """
    for _ in range(draws):
        model = int(rng.integers(len(figures[0].kinds[kind].levels)))
        follows = figures[0].kinds[kind].original[model]
        around = figures[follows if follows >= 0 else rng.integers(len(figures))]
        found = around.kinds[kind]
        possible = np.setdiff1d(np.arange(around.num_retrained), found.source[[model]])
        references = rng.choice(possible, size=k, replace=False)
        yield RandomAudit(model, tuple(_group_figures(around, found, model, references)))


def _group_figures(
    around: PoolFigures, found: KindFigures, model: int, references: np.ndarray
) -> Iterator[GroupFigures]:
    honest = around.kinds[HONEST]
    between = np.ix_(references, references)
    k = len(references)
    for g, (name, question, count) in enumerate(zip(around.names, around.questions, around.counts, strict=True)):
        apart = np.nan_to_num(honest.disagreement[between][:, :, g])
        yield GroupFigures(
            name,
            question,
            count,
            found.levels[model, [g]],
            honest.levels[references, g],
            found.discrepancies[[model]][:, references, g],
            np.nan_to_num(honest.discrepancies[between][:, :, g]),
            float(found.disagreement[model, references, g].mean()),
            float(apart.sum() / (k * (k - 1))),
        )
