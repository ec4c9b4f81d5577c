"""Random audits: K of N retrained models as references, and one of known nature as the candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unlearn_audit.audit.controls import check_controls
from unlearn_audit.audit.statistics import Comparison, compare, pose
from unlearn_audit.audit.verdict import Policy, decide
from unlearn_audit.calibration.pool import Pool

HONEST = "retrained"
FOLLOWING = ("original", "noisy original")  # kinds whose i-th model is, or comes from, the i-th original
STRATA = 10
POPULATIONS = ("retain", "forget", "test")


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
    from unlearn_audit.audit.discrepancy import discrepancies
    from unlearn_audit.measures import registry

    retrained = pool.predictions[HONEST]
    kinds = {kind: found for kind, found in pool.predictions.items() if kind != HONEST}
    others = [prediction for found in kinds.values() for prediction in found]
    results = []
    for original in pool.predictions["original"]:
        group = _groups(pool, original)
        results.append(discrepancies(others, retrained, group, 2 * STRATA + 1, [registry.load(name)])[0][0])
    places = {"retain": slice(0, STRATA), "test": slice(STRATA, 2 * STRATA), "forget": slice(2 * STRATA, None)}
    starts = np.cumsum([0, *(len(found) for found in kinds.values())])
    return Means(
        retrained={p: np.stack([r.references[:, :, part] for r in results]) for p, part in places.items()},
        others={
            kind: {p: np.stack([r.models[first:last, :, part] for r in results]) for p, part in places.items()}
            for kind, first, last in zip(kinds, starts, starts[1:], strict=False)
        },
        counts={p: np.stack([r.counts[part] for r in results]) for p, part in places.items()},
    )


def _groups(pool: Pool, original: object) -> np.ndarray:
    """Return retain strata 0 to 9, test strata 10 to 19, and 20 for the forget set, (n,)."""
    from unlearn_audit.neighbourhoods import registry
    from unlearn_audit.neighbourhoods.strata import NeighbourhoodConfig, cut

    is_forget = np.concatenate([pool.forget.mask(pool.data.train), np.zeros(len(pool.data.test), bool)])
    is_test = original.splits == "test"
    embeddings = original.embeddings
    proximity = registry.load("centroid")(embeddings, embeddings[is_forget])
    stratum, _ = cut(
        NeighbourhoodConfig(number=STRATA),
        proximity,
        is_retain=~is_forget & ~is_test,
        is_forget=is_forget,
        labels=original.labels,
    )
    return np.where(is_forget, 2 * STRATA, stratum + STRATA * is_test)


@dataclass(frozen=True, eq=False)
class Draw:
    """One random audit: stratum means by population."""

    candidate: dict[str, np.ndarray]  # (1, K, S)
    references: dict[str, np.ndarray]  # (K, K, S)
    counts: dict[str, np.ndarray]  # (S,)
    model: int  # index of the candidate within its kind

    def comparisons(self, policy: Policy) -> dict[str, Comparison]:
        """Compare on the populations that the policy asks for."""
        return {p: self._compare(self.candidate[p], self.references[p], p, policy) for p in policy.populations}

    def posing(self, policy: Policy) -> dict[str, dict[str, Comparison]]:
        """Let each reference pose as the candidate."""
        k = len(self.references["retain"])
        return {
            str(i): {p: self._compare(*pose(self.references[p], i), p, policy) for p in policy.populations}
            for i in range(k)
        }

    def _compare(self, candidate: np.ndarray, references: np.ndarray, population: str, policy: Policy) -> Comparison:
        return compare(
            candidate,
            references,
            counts=self.counts[population],
            nearest=policy.nearest,
            tolerance=policy.tolerance,
            alpha=policy.alpha,
        )


def draw(means: Means, kind: str, k: int, rng: np.random.Generator) -> Draw:
    """Draw K references and a candidate of one kind; an honest one is a further retrained model."""
    e = int(rng.integers(len(means.counts["retain"])))
    chosen = rng.permutation(means.num_retrained)[: k + 1]
    references = chosen[:k]
    if kind == HONEST:
        model = int(chosen[k])
        source = {p: means.retrained[p][e, model, references][None] for p in POPULATIONS}
    else:
        model = int(rng.integers(len(means.others[kind]["retain"][e])))
        e = model if kind in FOLLOWING else e
        source = {p: means.others[kind][p][e, model, references][None] for p in POPULATIONS}
    between = {p: means.retrained[p][e][np.ix_(references, references)] for p in POPULATIONS}
    return Draw(source, between, {p: means.counts[p][e] for p in POPULATIONS}, model)


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


def verdict_shares(source: Callable[[], Draw], policy: Policy, draws: int) -> Shares:
    """Give `draws` random audits their verdicts, through the library's own `compare` and `decide`."""
    outcomes, models = [], []
    for _ in range(draws):
        found = source()
        outcomes.append(decide(policy, found.comparisons(policy)).outcome)
        models.append(found.model)
    return shares(np.array(outcomes) == "fail", np.array(outcomes) == "pass", np.array(models))


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


def withheld_share(means: Means, k: int, policy: Policy, draws: int, rng: np.random.Generator) -> float:
    """Return the share of audits with K honest references whose controls would withhold the verdict."""
    count = 0
    for _ in range(draws):
        found = draw(means, HONEST, k, rng)
        count += check_controls(policy, references=found.posing(policy)).withheld
    return count / draws
