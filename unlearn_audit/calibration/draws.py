"""Random audits: K of N retrained models as references, and one of known nature as the candidate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.discrepancy import discrepancies
from unlearn_audit.auditing.groups import Question, QuestionGroup, question_groups
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
        test_accuracies: (M,) share of the test examples classified correctly.
    """

    levels: np.ndarray
    discrepancies: np.ndarray
    disagreement: np.ndarray
    source: np.ndarray
    original: np.ndarray
    test_accuracies: np.ndarray


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


def measured(pool: Pool, measure: str = "js") -> tuple[PoolFigures, ...]:
    """Compare all models of a pool with its retrained ones, once for each original's neighbourhood.

    Args:
        pool: of models.
        measure: of the pattern.
    """
    rng = np.random.default_rng(0)  # of the deceivers
    found = []
    for place in range(len(pool.proximity)):
        groups = question_groups(pool.population, pool.proximity[place], pool.labels)
        models = {**pool.logits, **_deceivers(pool, place, rng)}
        found.append(_figures(pool, groups, models, measure))
    return tuple(found)


def measured_few(
    pool: Pool, whole: tuple[PoolFigures, ...], size: int, measure: str = "js", *, seed: int = 0
) -> tuple[PoolFigures, ...]:
    """Return the figures of retrained models and originals for a forget set of a few of the deleted examples.

    The other groups are those of the whole forget set.

    Args:
        pool: of models.
        whole: its figures with the whole forget set.
        size: how many of the deleted examples, drawn at random.
        measure: of the pattern.
        seed: of their choice.
    """
    deleted = np.random.default_rng(seed).permutation(np.flatnonzero(pool.population == FORGET))[:size]
    group = QuestionGroup("forget", "forgotten", np.isin(np.arange(len(pool.labels)), deleted))
    few = _figures(pool, [group], {kind: pool.logits[kind] for kind in (HONEST, ORIGINAL)}, measure)
    return tuple(_with_first_group(figures, few) for figures in whole)


def _with_first_group(figures: PoolFigures, few: PoolFigures) -> PoolFigures:
    def joined(kind: str, name: str) -> np.ndarray:
        first, others = (getattr(found.kinds[kind], name) for found in (few, figures))
        return np.concatenate([first, others[..., 1:]], axis=-1)

    kinds = {
        kind: dataclasses.replace(
            figures.kinds[kind],
            **{name: joined(kind, name) for name in ("levels", "discrepancies", "disagreement")},
        )
        for kind in few.kinds
    }
    return dataclasses.replace(figures, counts=(*few.counts, *figures.counts[1:]), kinds=kinds)


def _figures(
    pool: Pool, groups: Sequence[QuestionGroup], models: Mapping[str, np.ndarray], measure: str
) -> PoolFigures:
    """Compare models (by kind, (M, n, c) logits) with the retrained ones in groups of examples."""
    members = np.stack([group.members for group in groups], axis=1)  # (n, G)
    seen = members.any(axis=1) | (pool.population == TEST)
    logits = {HONEST: models[HONEST], **{kind: found for kind, found in models.items() if kind != HONEST}}
    sources = {kind: [_predictions(pool, model, seen) for model in found] for kind, found in logits.items()}
    retrained = sources[HONEST]
    others = [source for kind, found in sources.items() if kind != HONEST for source in found]
    chosen = [registry.create(measure), registry.create("disagreement")]
    (pattern, top1), scores = discrepancies(others, retrained, members[seen], chosen)
    test = pool.population[seen] == TEST
    levels = np.stack([score.confidence.astype(np.float64) @ members[seen] for score in scores]) / members.sum(axis=0)
    accuracies = np.array([score.correct[test].mean() for score in scores])
    kinds = {}
    start = 0
    for kind, found in sources.items():
        honest = kind == HONEST
        rows = slice(len(others), None) if honest else slice(start, start + len(found))
        start += 0 if honest else len(found)
        every, none = np.arange(len(found)), np.full(len(found), -1)
        follows = kind == ORIGINAL or kind in pool.recipe.get(FOLLOWING, ())
        kinds[kind] = KindFigures(
            levels=levels[rows],
            discrepancies=pattern.references if honest else pattern.models[rows],
            disagreement=top1.references if honest else top1.models[rows],
            source=every if honest or kind in DECEIVERS else none,
            original=every if follows else none,
            test_accuracies=accuracies[rows],
        )
    questions = tuple(group.question for group in groups)
    return PoolFigures(tuple(g.name for g in groups), questions, tuple(g.count for g in groups), kinds)


def _deceivers(pool: Pool, place: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        kind: np.stack([deceive(pool, logits, place, rng) for logits in pool.logits[HONEST][:DECEIVED]])
        for kind, deceive in DECEIVERS.items()
    }


def _predictions(pool: Pool, logits: np.ndarray, rows: np.ndarray) -> Predictions:
    splits = np.where(pool.population[rows] == TEST, "test", "train")
    return Predictions(pool.example_ids[rows], splits, pool.labels[rows], np.asarray(logits[rows], np.float32))


@dataclass(frozen=True, eq=False)
class RandomAudit:
    """One random audit of J candidates of one kind by K references.

    Attributes:
        pool: figures around the neighbourhood that it uses.
        kind: of the candidates.
        models: (J,) their indices within their kind.
        references: (K,) indices of retrained models.
    """

    pool: PoolFigures
    kind: str
    models: np.ndarray
    references: np.ndarray

    @property
    def figures(self) -> tuple[GroupFigures, ...]:
        """The figures of each group."""
        return tuple(_group_figures(self.pool, self.pool.kinds[self.kind], self.models, self.references))

    def posing(self, place: int) -> tuple[GroupFigures, ...]:
        """Return the figures of one reference as the candidate, with the others as references."""
        chosen, others = self.references[[place]], np.delete(self.references, place)
        return tuple(_group_figures(self.pool, self.pool.kinds[HONEST], chosen, others))


def random_audits(
    figures: tuple[PoolFigures, ...],
    kind: str,
    k: int,
    draws: int,
    rng: np.random.Generator,
    *,
    together: int = 1,
) -> Iterator[RandomAudit]:
    """Yield audits with K references drawn without replacement, and candidates of one kind drawn among its models.

    An honest candidate is a further retrained model. The neighbourhood is that of a random original, or of the one that
    the (first) candidate was made from.

    Args:
        figures: around each original's neighbourhood.
        kind: of the candidates.
        k: K.
        draws: how many audits.
        rng: of the draws.
        together: J, how many candidates are judged as one method.
    """
    for _ in range(draws):
        models = rng.choice(len(figures[0].kinds[kind].levels), size=together, replace=False)
        follows = figures[0].kinds[kind].original[models[0]]
        around = figures[follows if 0 <= follows < len(figures) else rng.integers(len(figures))]
        possible = np.setdiff1d(np.arange(around.num_retrained), around.kinds[kind].source[models])
        yield RandomAudit(around, kind, models, rng.choice(possible, size=k, replace=False))


def _group_figures(
    around: PoolFigures, found: KindFigures, models: np.ndarray, references: np.ndarray
) -> Iterator[GroupFigures]:
    honest = around.kinds[HONEST]
    between, across = np.ix_(references, references), np.ix_(models, references)
    k = len(references)
    levels, reference_levels = found.levels[models], honest.levels[references]
    discrepancies, disagreement = found.discrepancies[across], found.disagreement[across]
    reference_discrepancies = np.nan_to_num(honest.discrepancies[between])
    reference_disagreement = np.nan_to_num(honest.disagreement[between])
    for g, (name, question, count) in enumerate(zip(around.names, around.questions, around.counts, strict=True)):
        yield GroupFigures(
            name,
            question,
            count,
            levels[:, g],
            reference_levels[:, g],
            discrepancies[:, :, g],
            reference_discrepancies[:, :, g],
            float(disagreement[:, :, g].mean()),
            float(reference_disagreement[:, :, g].sum() / (k * (k - 1))),
        )
