"""Scores of candidates and references, and their standard errors: what `statistics` builds on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

MIN_COUNT = 30  # examples that a stratum needs to take part in a verdict
MIN_REFERENCES = 3  # retrained models that a verdict needs
MAX_REFERENCES = 200  # beyond this, more retrained models are no advice
MAX_TAIL_DF = 5  # degrees of freedom of a prediction at most: the tail that skewed models have, however many there are
POWER = 0.8
PRIOR_DF = 2  # of the variance that groups share
# Spread between retrained models of the confidence in one example, beside what K of them show of a group of few. A few
# may all be wholly sure of it by chance, and then any other model would seem to differ: without this, retrained models
# failed in 6.7 % of audits of one example; with it, four references that agree can still pass one example.
FEW_SPREAD, FEW_DF = 0.09, 1
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class StratumMeans:
    """Stratum means of pairwise discrepancies of J candidates and K references."""

    candidate: np.ndarray  # (J, K, S)
    references: np.ndarray  # (K, K, S)
    counts: np.ndarray  # (S,)
    sampling: np.ndarray  # (S,)

    @cached_property
    def _off(self) -> np.ndarray:
        """Which pairs (K, K) are of two references."""
        return ~np.eye(self.candidate.shape[1], dtype=bool)

    @cached_property
    def _usable(self) -> np.ndarray:
        """Which strata (S,) have examples and are defined."""
        defined = np.isfinite(self.candidate).all((0, 1)) & np.isfinite(self.references[self._off]).all(0)
        return np.asarray(defined & (self.counts > 0))

    @cached_property
    def _finite(self) -> tuple[np.ndarray, np.ndarray]:
        """The references (K, K, S) and the sampling variances (S,), with numbers also where nothing is defined."""
        return np.where(self._off[..., None], np.nan_to_num(self.references), 0.0), np.nan_to_num(self.sampling)

    def single(self, stratum: int) -> Group:
        """Take one stratum, as `group` does of a list of one."""
        if not self._usable[stratum]:
            return self.group([stratum])
        between, sampling = self._finite
        # A sum of one product with 1 has no negative zero, nor has this.
        to_references = self.candidate[:, :, stratum] + 0.0
        return Group(int(self.counts[stratum]), to_references, between[:, :, stratum] + 0.0, float(sampling[stratum]))

    def group(self, strata: Iterable[int]) -> Group:
        """Take strata together, weighted by their counts; undefined ones are left out."""
        wanted = np.asarray(list(strata))
        use = wanted[self._usable[wanted]]
        if not len(use):
            return Group(int(self.counts[wanted].sum()), np.empty((len(self.candidate), 0)), np.empty((0, 0)), 0.0)
        weight = self.counts[use] / self.counts[use].sum()
        to_references = self.candidate[:, :, use] @ weight  # (J, K)
        between, sampling = self._finite
        share = weight * self.candidate[:, :, use].mean((0, 1))
        share = share / share.sum() if share.sum() > 0 else weight
        variance = float((share**2 * sampling[use]).sum())
        return Group(int(self.counts[use].sum()), to_references, between[:, :, use] @ weight, variance)


@dataclass(frozen=True, eq=False)
class Group:
    """Means over one group of examples; K is 0 where nothing is defined."""

    count: int
    to_references: np.ndarray  # (J, K)
    between: np.ndarray  # (K, K), 0 on the diagonal
    sampling: float

    @property
    def num_references(self) -> int:
        """K; 0 where nothing is defined."""
        return len(self.between)

    @property
    def takes_part(self) -> bool:
        """Whether there are enough examples for a verdict."""
        return self.count >= MIN_COUNT and self.num_references > 0

    def floor(self) -> float | None:
        """F, the mean over ordered pairs."""
        k = self.num_references
        return float(_sum(self.between) / (k * (k - 1))) if k >= 2 else None


@dataclass(frozen=True, eq=False)
class Scores:
    """R (or the excess) of candidates and, one reference left out at a time, of references and candidates."""

    logarithmic: bool
    candidates: np.ndarray  # (J,)
    null: np.ndarray  # (K,) reference k against the others
    without: np.ndarray  # (K,) the candidates' mean, without reference k


def scores_of(group: Group, zero_floor: bool) -> Scores:
    """Score the candidates and the references of a group with K >= 3."""
    k = group.num_references
    total, row, column = _sum(group.between), _sum(group.between, 1), _sum(group.between, 0)
    floor = np.full(1, total / (k * (k - 1)))
    floors = (total - row - column) / ((k - 1) * (k - 2))  # (K,) without reference k
    nearness = row / (k - 1)  # (K,) reference k to the others
    sums = _sum(group.to_references, 1)  # (J,)
    whole = sums / k
    parts = (sums[:, None] - group.to_references) / (k - 1)  # (J, K)
    if zero_floor:
        return Scores(False, whole, nearness, mean(parts, 0))
    positive = all(all_of(values > 0) for values in (floor, floors, nearness, whole, parts))
    if positive:
        return Scores(True, np.log(whole / floor), np.log(nearness / floors), mean(np.log(parts / floors), 0))
    return Scores(False, whole - floor, nearness - floors, mean(parts - floors, 0))


# Means and variances of a few numbers, as NumPy's methods compute them, which take several times as long for so few:
# an audit asks for tens of thousands.


def _sum(values: np.ndarray, axis: int | None = None) -> Any:
    return np.add.reduce(values, axis)


def all_of(values: np.ndarray) -> bool:
    """Return whether all of the values are true."""
    return bool(np.logical_and.reduce(values, None))


def mean(values: np.ndarray, axis: int | None = None) -> Any:
    """Return the mean over an axis, or of all."""
    return np.add.reduce(values, axis) / (values.size if axis is None else values.shape[axis])


def _variance(values: np.ndarray) -> float:
    """Return the unbiased variance of values (n,)."""
    deviations = values - mean(values)
    return float(np.add.reduce(deviations * deviations) / (len(values) - 1))


@dataclass(frozen=True)
class StandardErrors:
    """Standard errors of the candidates' mean score, with their degrees of freedom."""

    prediction: float
    prediction_df: float
    confidence: float
    confidence_df: float


def standard_errors(scores: Scores, sampling: float, least: float, prior: float | None = None) -> StandardErrors:
    """Return standard errors of the candidates' mean score.

    The prediction asks how far one more retrained model would be, and models' effects are skewed: its tail stays that
    of Student's t with 5 degrees of freedom however many references there are. The
    bounds are about a mean over references, which grows normal with K, and keep K - 1.

    Args:
        scores: of candidates and references.
        sampling: variance by the choice of examples.
        least: lower limit of the models' spread.
        prior: variance of the mean over references that the groups of an audit share; moderates this group's own.
    """
    j, k = len(scores.candidates), len(scores.null)
    reference = max(_variance(scores.null) * ((k - 1) / k) ** 2, least**2)
    spread = _variance(scores.candidates) if j > 1 else 0.0
    prediction_df: float = tail_df(k)
    if spread > reference:  # J candidates that vary more than retrained models do: Welch
        prediction, prediction_df = welch(spread / j, j - 1, reference / k, prediction_df)
    else:
        prediction = reference * (1 / j + 1 / k)
    confidence, confidence_df = moderated(max(jackknife_variance(scores), least**2 / k), k - 1, prior)
    if j > 1 and spread > 0:
        confidence, confidence_df = welch(spread / j, j - 1, confidence, confidence_df)
    return StandardErrors(
        float(np.sqrt(prediction + sampling)), prediction_df, float(np.sqrt(confidence + sampling)), confidence_df
    )


def jackknife_variance(scores: Scores) -> float:
    """Return the variance of the candidates' mean score over references, by leaving out one at a time."""
    k = len(scores.without)
    return float((k - 1) / k * _sum((scores.without - mean(scores.without)) ** 2))


def moderated(variance: float, df: float, prior: float | None, prior_df: int = PRIOR_DF) -> tuple[float, float]:
    """Return a variance moderated towards a prior with its own degrees of freedom (Smyth 2004), and the df of both."""
    if prior is None:
        return variance, float(df)
    return (prior_df * prior + df * variance) / (prior_df + df), float(df + prior_df)


def prior_of(variances: Sequence[float]) -> float | None:
    """Return the prior of the groups' variances, their geometric mean; None where there are none."""
    return float(np.exp(np.mean(np.log(np.maximum(variances, LEAST_VARIANCE))))) if len(variances) else None


def tail_df(num_references: int) -> int:
    """Return the degrees of freedom of a prediction for one more model beside K retrained ones."""
    return min(num_references - 1, MAX_TAIL_DF)


def welch(first: float, first_df: float, second: float, second_df: float) -> tuple[float, float]:
    """Add two variances of means; return the sum and Welch's degrees of freedom."""
    total = first + second
    if total == 0:
        return 0.0, second_df
    return total, float(total**2 / (first**2 / first_df + second**2 / second_df))


@lru_cache(maxsize=256)
def detectable_shift(df: float, alpha: float) -> float:
    """Return the mean, in standard errors, that a one-sided t-test at level alpha detects with a power of 80 %."""
    from scipy.optimize import brentq
    from scipy.stats import nct

    critical = critical_value(alpha, df)
    return float(brentq(lambda shift: nct.sf(critical, df, shift) - POWER, 0.0, 4 * critical + 4))


@lru_cache(maxsize=1024)
def critical_value(alpha: float, df: float) -> float:
    """Return the number that Student's t with `df` degrees of freedom exceeds with probability alpha."""
    from scipy.special import stdtrit

    return -float(stdtrit(df, alpha))


def p_value_of(score: float, error: float, df: float) -> float:
    """Return the one-sided p-value of a score; without any error it is 0 above 0, else 1."""
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if score <= 0 else 0.0
    return float(stdtr(df, -score / error))
