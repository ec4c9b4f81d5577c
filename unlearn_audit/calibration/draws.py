"""Random audits: K of N retrained models as references, and one of known nature as the candidate."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.many import outcomes
from unlearn_audit.auditing.verdict import Policy
from unlearn_audit.calibration.pool import Pool
from unlearn_audit.predictions import Predictions

HONEST = "retrained"
FOLLOWING = ("original", "noisy original")  # kinds whose i-th model is, or comes from, the i-th original
STRATA = 10
PARTS = ("retain", "forget")  # populations that the study looks at


@dataclass(frozen=True, eq=False)
class Means:
    """Stratum means of pairwise discrepancies between the N retrained models, and to all others.

    E is the number of originals, each of which gives the embeddings for one way to cut strata; S = 10 strata. A
    population has S of them, but the forget set is one.

    Attributes:
        retrained: by population (E, N, N, S).
        others: by kind, by population (E, M, N, S).
        counts: by population (E, S).
    """

    retrained: dict[str, np.ndarray]
    others: dict[str, dict[str, np.ndarray]]
    counts: dict[str, np.ndarray]

    @property
    def num_retrained(self) -> int:
        """N."""
        return self.retrained["retain"].shape[1]


def measure(pool: Pool, name: str = "js") -> Means:
    """Compare all models of a pool by one measure, once for each original's neighbourhood."""
    from unlearn_audit.auditing.discrepancy import discrepancies
    from unlearn_audit.measures import registry

    retrained = pool.predictions[HONEST]
    kinds = {kind: found for kind, found in pool.predictions.items() if kind != HONEST}
    others = [prediction for found in kinds.values() for prediction in found]
    results = []
    for original in pool.predictions["original"]:
        group = _groups(pool, original)
        results.append(discrepancies(others, retrained, group, STRATA + 1, [registry.create(name)])[0][0])
    places = {"retain": slice(0, STRATA), "forget": slice(STRATA, None)}
    starts = np.cumsum([0, *(len(found) for found in kinds.values())])
    return Means(
        retrained={p: np.stack([r.references[:, :, part] for r in results]) for p, part in places.items()},
        others={
            kind: {p: np.stack([r.models[first:last, :, part] for r in results]) for p, part in places.items()}
            for kind, first, last in zip(kinds, starts, starts[1:], strict=False)
        },
        counts={p: np.stack([r.counts[part] for r in results]) for p, part in places.items()},
    )


def _groups(pool: Pool, original: Predictions) -> np.ndarray:
    """Return retain strata 0 to 9, 10 for the forget set, and -1 for test examples, (n,)."""
    from unlearn_audit.neighbourhood import NeighbourhoodConfig, find_neighbourhood

    is_forget = np.concatenate([pool.forget.mask(pool.data.train), np.zeros(len(pool.data.test), bool)])
    is_test = original.splits == "test"
    found = find_neighbourhood(
        NeighbourhoodConfig(number=STRATA),
        original.embeddings,
        is_forget=is_forget,
        is_retain=~is_forget & ~is_test,
        labels=original.labels,
    )
    return np.where(is_test, -1, np.where(is_forget, STRATA, found.stratum))


@dataclass(frozen=True, eq=False)
class Draws:
    """B random audits: stratum means on S retain strata and, last, the forget set.

    Attributes:
        candidate: (B, K, S + 1) means of d(u, r_k).
        references: (B, K, K, S + 1) means of d(r_k, r_l), 0 on the diagonal.
        counts: (B, S) retain examples.
        models: (B,) index of the candidate within its kind.
        places: (B,) which original's neighbourhood.
    """

    candidate: np.ndarray
    references: np.ndarray
    counts: np.ndarray
    models: np.ndarray
    places: np.ndarray

    def verdict_groups(self, nearest: int) -> tuple[np.ndarray, np.ndarray]:
        """Return candidate (B, K, 3) and references (B, K, K, 3): nearest strata together, all retain, forget set."""
        b, strata = self.counts.shape
        nearest = min(nearest, max(1, strata - 1))
        weights = np.zeros((b, strata + 1, 3))
        weights[:, :nearest, 0] = self.counts[:, :nearest] / self.counts[:, :nearest].sum(1, keepdims=True)
        weights[:, :-1, 1] = self.counts / self.counts.sum(1, keepdims=True)
        weights[:, -1, 2] = 1
        return self.candidate @ weights, self.references @ weights[:, None]


def draw(means: Means, kind: str, k: int, draws: int, rng: np.random.Generator) -> Draws:
    """Draw audits with K references and a candidate of one kind; an honest one is a further retrained model."""
    e = rng.integers(len(means.counts["retain"]), size=draws)
    chosen = np.argsort(rng.random((draws, means.num_retrained)), axis=1)[:, : k + 1]
    references = chosen[:, :k]
    if kind == HONEST:
        models, source = chosen[:, k], means.retrained
    else:
        source = means.others[kind]
        models = rng.integers(source["retain"].shape[1], size=draws)
        e = models if kind in FOLLOWING else e
    place, row = e[:, None], models[:, None]
    between = {p: means.retrained[p][e[:, None, None], references[:, :, None], references[:, None]] for p in PARTS}
    return Draws(
        candidate=np.concatenate([source[p][place, row, references] for p in PARTS], axis=-1),
        references=np.nan_to_num(np.concatenate([between[p] for p in PARTS], axis=-1)),
        counts=means.counts["retain"][e],
        models=models,
        places=e,
    )


def ratios_to_all(means: Means, kind: str, nearest: int) -> np.ndarray:
    """Return D / F (E, M, 3) of each model of a kind, in the groups of verdicts, with all N retrained as references."""
    e, n = means.retrained["retain"].shape[:2]
    source = means.retrained if kind == HONEST else means.others[kind]
    count = source["retain"].shape[1]
    found = np.empty((e, count, 3))
    for place in range(e):
        everyone = Draws(
            candidate=np.nan_to_num(np.concatenate([source[p][place] for p in PARTS], axis=-1)),
            references=np.nan_to_num(np.concatenate([means.retrained[p][place] for p in PARTS], axis=-1))[None],
            counts=means.counts["retain"][[place]],
            models=np.arange(count),
            places=np.full(count, place),
        )
        to_all, between = everyone.verdict_groups(nearest)
        others = n - 1 if kind == HONEST else n
        found[place] = (to_all.sum(1) / others) / (between.sum((1, 2)) / (n * (n - 1)))
    return found


def wrongly_passed(found: Draws, ratios: np.ndarray, policy: Policy) -> float | None:
    """Return the share of audits that pass, of those whose candidate is beyond the tolerance by `ratios_to_all`."""
    beyond = (ratios[found.places, found.models] > 1 + policy.relative).any(axis=1)
    _, passed = outcomes(*found.verdict_groups(policy.nearest), policy)
    return float(passed[beyond].mean()) if beyond.any() else None


@dataclass(frozen=True)
class Shares:
    """What became of many random audits, as shares of all.

    Attributes:
        draws: how many.
        failed, passed: shares; the rest is inconclusive.
        interval: 95 % interval of `failed` for this pool (Wilson).
        over_models: the same if the candidates were drawn anew too: from the spread of the share between candidates.
    """

    draws: int
    failed: float
    passed: float
    interval: tuple[float, float]
    over_models: tuple[float, float]

    @property
    def inconclusive(self) -> float:
        """The rest."""
        return 1 - self.failed - self.passed


def verdict_shares(found: Draws, policy: Policy) -> Shares:
    """Give random audits their verdicts, all at once."""
    failed, passed = outcomes(*found.verdict_groups(policy.nearest), policy)
    return shares(failed, passed, found.models)


def shares(failed: np.ndarray, passed: np.ndarray, models: np.ndarray) -> Shares:
    """Summarise draws (n,) by which candidate each had."""
    share = float(failed.mean())
    each = np.array([failed[models == model].mean() for model in np.unique(models)])
    width = 1.96 * float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0
    return Shares(
        draws=len(failed),
        failed=share,
        passed=float(passed.mean()),
        interval=wilson(int(failed.sum()), len(failed)),
        over_models=(max(0.0, share - width), min(1.0, share + width)),
    )


def wilson(hits: int, draws: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z = 1.959964
    share = hits / draws
    centre = share + z**2 / (2 * draws)
    width = z * np.sqrt(share * (1 - share) / draws + z**2 / (4 * draws**2))
    scale = 1 + z**2 / draws
    return max(0.0, float((centre - width) / scale)), min(1.0, float((centre + width) / scale))


def withheld_share(found: Draws, policy: Policy) -> float:
    """Return the share of audits whose controls would withhold the verdict because a reference fails as a candidate."""
    _, references = found.verdict_groups(policy.nearest)
    k = references.shape[1]
    strict = dataclasses.replace(policy, alpha=policy.alpha / k)
    alarm = np.zeros(len(references), bool)
    for posing in range(k):
        others = np.delete(np.arange(k), posing)
        alarm |= outcomes(references[:, posing, others], references[:, others[:, None], others], strict)[0]
    return float(alarm.mean())
