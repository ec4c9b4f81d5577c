"""What K retrained models say of a candidate, from stratum means of pairwise discrepancies: bounds, p-values, power.

The model is the unit of replication. Two questions are kept apart (docs/how-the-verdict-is-computed.md derives both):

- *Could the candidate be just another retrained model?* The null distribution comes from the references, each left out
  in turn. A reference is further from the others by the factor K / (K - 1) than the spread of the models says, so the
  leave-one-out values are scaled by (K - 1) / K. Then R of a candidate is one more draw: its standard error is
  sd sqrt(1 + 1/K), with K - 1 degrees of freedom. This gives the p-value.
- *How far is this candidate from retraining, whichever retrained models had been drawn?* The candidate is what it is,
  only the references vary: a jackknife over the references. This gives the bounds.

R is log(D / F), which has a more symmetric null than the excess D - F. Where the floor is 0 by definition (a measure
with `zero_floor`) or by accident, the excess itself takes R's place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing._changing import changed
from unlearn_audit.auditing._scores import (
    MAX_TAIL_DF,
    MIN_REFERENCES,
    POWER,
    Group,
    Scores,
    StratumMeans,
    all_of,
    critical_value,
    detectable_shift,
    mean,
    p_value_of,
    scores_of,
    standard_errors,
)
from unlearn_audit.auditing._scores import MIN_COUNT as MIN_COUNT
from unlearn_audit.auditing._settling import references_to_settle
from unlearn_audit.errors import AuditError


@dataclass(frozen=True)
class StratumStatistics:
    """What is known of one stratum, or of several taken together. None: undefined, or K does not allow it.

    Attributes:
        count: examples.
        takes_part: whether the stratum may take part in a verdict: at least 30 examples, all figures defined.
        discrepancy: D, mean over candidates, references and examples.
        floor: F, mean over pairs of references and examples (K >= 2).
        excess: D - F.
        ratio: D / F; with several candidates the geometric mean over them. 1 is a retrained model.
        log_ratio: R, its logarithm.
        null: R (or excess) of each reference against the others, as measured, (K,) for K >= 3.
        lower: one-sided lower bound of the ratio, at level 1 - alpha; of the excess where the measure's floor is 0.
        upper: one-sided upper bound, likewise.
        p_value: one-sided, that a retrained model would be this far from the references.
        p_holm: the same, corrected over all strata of the population that take part (Holm).
        above_tolerance: whether the lower bound is above the tolerance.
        within_tolerance: whether the upper bound is within the tolerance.
        minimum_detectable_ratio: the least ratio that this stratum alone would fail in 80 % of audits like this one.
        references_needed: about how many references it takes to settle this stratum, if the candidate keeps its ratio.
    """

    count: int
    takes_part: bool
    discrepancy: float | None = None
    floor: float | None = None
    excess: float | None = None
    ratio: float | None = None
    log_ratio: float | None = None
    null: tuple[float, ...] = ()
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    above_tolerance: bool | None = None
    within_tolerance: bool | None = None
    minimum_detectable_ratio: float | None = None
    references_needed: int | None = None


@dataclass(frozen=True)
class LocalityContrast:
    """Whether the excess is larger near the forget set: R of the nearest minus R of the farthest stratum.

    Attributes:
        difference: of R; of the excess where the measure's floor is 0. Positive is localized collateral forgetting.
        lower: one-sided lower bound.
        p_value: one-sided, against the same null as the strata's.
        spearman: rank correlation of proximity and pointwise excess over examples, as a description.
    """

    difference: float | None = None
    lower: float | None = None
    p_value: float | None = None
    spearman: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One model (or J of one method) against K references on one population, by one measure.

    Attributes:
        strata: each stratum, the nearest first.
        nearest: the nearest strata taken together.
        overall: the whole population.
        contrast: nearest against farthest stratum; None for fewer than two strata that take part or K < 3.
        num_candidates: J.
        num_references: K.
    """

    strata: tuple[StratumStatistics, ...]
    nearest: StratumStatistics
    overall: StratumStatistics
    contrast: LocalityContrast | None
    num_candidates: int
    num_references: int


def compare(
    candidate: np.ndarray,
    references: np.ndarray,
    *,
    counts: np.ndarray,
    zero_floor: bool = False,
    sampling: np.ndarray | None = None,
    nearest: int = 2,
    tolerance: float = 0.0,
    alpha: float = 0.05,
) -> Comparison:
    """Compare J candidates with K references on S strata, from stratum means of pairwise discrepancies.

    Args:
        candidate: (J, K, S) means of d(u_j, r_k).
        references: (K, K, S) means of d(r_k, r_l), with r_k in the candidate's place; the diagonal is not looked at.
        counts: (S,) examples a stratum.
        zero_floor: the measure's noise floor is 0 by symmetry, as that of one with a sign is.
        sampling: (S,) variances of R from drawing the test examples, from `sampling_variance`; None adds nothing.
        nearest: how many of the nearest strata are taken together in `nearest`; never all, where there are several.
        tolerance: tolerated excess, in units of the measure.
        alpha: level of one-sided tests and bounds.

    A stratum with a NaN is undefined: it is left out of what is taken together.

    Raises:
        AuditError: where the shapes do not fit.
    """
    candidate, references = np.asarray(candidate, np.float64), np.asarray(references, np.float64)
    counts = np.asarray(counts, np.int64)
    _check_shapes(candidate, references, counts, sampling)
    settings = _Settings(zero_floor, tolerance, alpha)
    means = StratumMeans(
        candidate, references, counts, np.zeros(len(counts)) if sampling is None else np.asarray(sampling)
    )
    single = [means.single(s) for s in range(len(counts))]
    strata = _with_holm([_statistics(group, settings) for group in single])
    return Comparison(
        strata=strata,
        nearest=_statistics(means.group(range(min(nearest, max(1, len(counts) - 1)))), settings),
        overall=_statistics(means.group(range(len(counts))), settings),
        contrast=_contrast(single, strata, settings),
        num_candidates=candidate.shape[0],
        num_references=candidate.shape[1],
    )


def _check_shapes(
    candidate: np.ndarray, references: np.ndarray, counts: np.ndarray, sampling: np.ndarray | None
) -> None:
    fits = candidate.ndim == 3 and candidate.shape[0] >= 1 and candidate.shape[1] >= 1 and candidate.shape[2] >= 1
    k, s = candidate.shape[1:] if fits else (0, 0)
    if (
        not fits
        or references.shape != (k, k, s)
        or counts.shape != (s,)
        or (sampling is not None and sampling.shape != (s,))
    ):
        raise AuditError(
            "Expected candidate (J, K, S), references (K, K, S), counts (S,) and sampling (S,) or None, got "
            f"{candidate.shape}, {references.shape}, {counts.shape} and {None if sampling is None else sampling.shape}."
        )


@dataclass(frozen=True)
class _Settings:
    zero_floor: bool
    tolerance: float
    alpha: float


def _least(scores: Scores, settings: _Settings) -> float:
    """Return 1, one example's whole weight, where references agree by accident and no spread can be trusted; else 0."""
    trusted = scores.logarithmic or (settings.zero_floor and scores.null.any())
    return 0.0 if trusted or not (scores.candidates.any() or scores.null.any()) else 1.0


def _statistics(group: Group, settings: _Settings) -> StratumStatistics:
    if not group.num_references:
        return StratumStatistics(group.count, False)
    discrepancy = float(mean(group.to_references))
    found = StratumStatistics(group.count, group.takes_part, discrepancy)
    floor = 0.0 if settings.zero_floor and group.num_references >= 2 else group.floor()
    if floor is None:
        return found
    ratio = _ratio(group, floor) if not settings.zero_floor else None
    found = changed(
        found,
        floor=floor,
        excess=discrepancy - floor,
        ratio=ratio,
        log_ratio=float(np.log(ratio)) if ratio else None,
    )
    return found if group.num_references < MIN_REFERENCES else _tested(found, floor, group, settings)


def _ratio(group: Group, floor: float) -> float | None:
    """D / F, the geometric mean over candidates; 1 for 0 / 0, None where only the floor is 0."""
    whole = mean(group.to_references, 1)
    if floor > 0:
        return float(np.exp(mean(np.log(whole))) / floor) if all_of(whole > 0) else float(mean(whole) / floor)
    return 1.0 if not whole.any() else None


def _tested(found: StratumStatistics, floor: float, group: Group, settings: _Settings) -> StratumStatistics:
    """Add what K >= 3 references allow."""
    scores = scores_of(group, settings.zero_floor)
    errors = standard_errors(scores, group.sampling, _least(scores, settings) / group.count)
    score, alpha = float(mean(scores.candidates)), settings.alpha
    limit = settings.tolerance
    limit = float(np.log1p(limit / floor)) if scores.logarithmic else limit
    width = critical_value(alpha, errors.confidence_df) * errors.confidence
    bounds = [_as_ratio(value, scores, floor, settings) for value in (score - width, score + width)]
    detectable = max(
        detectable_shift(errors.prediction_df, alpha) * errors.prediction,
        limit + width + critical_value(1 - POWER, errors.confidence_df) * errors.confidence,
    )
    return changed(
        found,
        null=tuple(float(value) for value in scores.null),
        lower=bounds[0],
        upper=bounds[1],
        p_value=p_value_of(score, errors.prediction, errors.prediction_df),
        above_tolerance=bool(score - width > limit),
        within_tolerance=bool(score + width <= limit),
        minimum_detectable_ratio=None if settings.zero_floor else _as_ratio(float(detectable), scores, floor, settings),
        references_needed=references_to_settle(score, limit, errors, len(scores.null), alpha, alpha, MAX_TAIL_DF),
    )


def _as_ratio(value: float, scores: Scores, floor: float, settings: _Settings) -> float | None:
    """Turn a score into a ratio D / F; leave it for measures with a floor of 0. None: the floor is 0 by accident."""
    if settings.zero_floor:
        return value
    if scores.logarithmic:
        return float(np.exp(value)) if value < 700 else None
    return 1 + value / floor if floor > 0 else None


def holm(p_values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return Holm's adjusted p-values (m,), in the order given: each below alpha rejects at family level alpha.

    Args:
        p_values: (m,).
        weights: (m,) positive: a hypothesis with a larger one is rejected more easily, at the others' cost (Holm 1979).
    """
    p_values = np.asarray(p_values, np.float64)
    weights = np.ones_like(p_values) if weights is None else np.asarray(weights, np.float64)
    order = np.argsort(p_values / weights, kind="stable")
    remaining = np.cumsum(weights[order][::-1])[::-1]
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(remaining * (p_values / weights)[order]), 1.0)
    return adjusted


def _with_holm(strata: list[StratumStatistics]) -> tuple[StratumStatistics, ...]:
    places = [i for i, stratum in enumerate(strata) if stratum.takes_part and stratum.p_value is not None]
    adjusted = holm(np.array([strata[i].p_value for i in places]))
    found = list(strata)
    for i, value in zip(places, adjusted, strict=True):
        found[i] = changed(strata[i], p_holm=float(value))
    return tuple(found)


def _contrast(
    groups: list[Group], strata: tuple[StratumStatistics, ...], settings: _Settings
) -> LocalityContrast | None:
    used = [group for group, stratum in zip(groups, strata, strict=True) if stratum.takes_part]
    if len(used) < 2 or used[0].num_references < MIN_REFERENCES:
        return None
    near, far = (scores_of(group, settings.zero_floor) for group in (used[0], used[-1]))
    if near.logarithmic != far.logarithmic:
        return LocalityContrast()
    scores = Scores(
        near.logarithmic, near.candidates - far.candidates, near.null - far.null, near.without - far.without
    )
    least = _least(scores, settings) * (1 / used[0].count + 1 / used[-1].count)
    errors = standard_errors(scores, used[0].sampling + used[-1].sampling, least)
    difference = float(mean(scores.candidates))
    return LocalityContrast(
        difference=difference,
        lower=difference - critical_value(settings.alpha, errors.confidence_df) * errors.confidence,
        p_value=p_value_of(difference, errors.prediction, errors.prediction_df),
    )


def pose(references: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Let reference `k` of (K, K, S) pose: return a candidate (1, K - 1, S) and references (K - 1, K - 1, S)."""
    others = np.delete(np.arange(len(references)), k)
    return references[None, k, others], references[np.ix_(others, others)]


def sampling_variance(
    discrepancy: np.ndarray, floor: np.ndarray, stratum: np.ndarray, num_strata: int, *, zero_floor: bool = False
) -> np.ndarray:
    """Return the variance (S,) that drawing the test examples adds to each stratum's score.

    For R = log(D / F) this is, to first order, the variance of the mean of D(x) / D - F(x) / F; where the floor is 0 by
    symmetry that of the mean of D(x). Strata with fewer than two examples, or with a floor of 0, get 0.

    Args:
        discrepancy: (n,) D(x), the mean over references and candidates.
        floor: (n,) F(x), the mean over pairs of references.
        stratum: (n,) in [0, num_strata), or -1 for none.
        num_strata: S.
        zero_floor: the measure's noise floor is 0 by symmetry, as that of one with a sign is.
    """
    found = np.zeros(num_strata)
    for s in range(num_strata):
        here = (stratum == s) & np.isfinite(discrepancy) & (np.isfinite(floor) | zero_floor)
        distances, floors = discrepancy[here].astype(np.float64), floor[here].astype(np.float64)
        if len(distances) < 2:
            continue
        if not zero_floor:
            if not (distances.mean() > 0 and floors.mean() > 0):
                continue
            distances = distances / distances.mean() - floors / floors.mean()
        found[s] = distances.var(ddof=1) / len(distances)
    return found


def spearman(proximity: np.ndarray, excess: np.ndarray, ranks: np.ndarray | None = None) -> float | None:
    """Return Spearman's rank correlation in [-1, 1] where both are defined (n,); None where one is constant.

    `ranks` (n,) are those of a proximity that is defined everywhere, where they are known already.
    """
    from scipy.stats import rankdata

    defined = np.isfinite(proximity) & np.isfinite(excess)
    if defined.sum() < 3:
        return None
    first = ranks if ranks is not None and defined.all() else rankdata(proximity[defined])
    second = rankdata(excess if defined.all() else excess[defined])
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
