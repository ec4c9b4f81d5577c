"""Many audits at once: the test and the bounds that verdicts use, others for comparison, and the verdicts themselves.

All take stratum means of a group of audits: `candidate` (B, K, G), d(u, r_k), and `references` (B, K, K, G), and
return p-values (B, G). B audits, K references, G groups of examples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import t

from unlearn_audit.auditing._scores import tail_df
from unlearn_audit.auditing.verdict import Policy

Test = Callable[[np.ndarray, np.ndarray], np.ndarray]
Bounds = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def _leave_one_out(references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return D and F of each reference against the others, (B, K, G) each."""
    k = references.shape[1]
    total, row = references.sum((1, 2)), references.sum(2)
    return row / (k - 1), (total[:, None] - 2 * row) / ((k - 1) * (k - 2))


def _floor(references: np.ndarray) -> np.ndarray:
    k = references.shape[1]
    return references.sum((1, 2)) / (k * (k - 1))


def _one_more(score: np.ndarray, spread: np.ndarray, k: int, df: np.ndarray | int | None = None) -> np.ndarray:
    """P-value of a score as one more draw beside K."""
    return t.sf(score / (spread * np.sqrt(1 + 1 / k)), k - 1 if df is None else df)


def log_ratio(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Log-ratio; leave-one-out values taken as they are, around their own mean."""
    k = references.shape[1]
    null = np.log(np.divide(*_leave_one_out(references)))
    score = np.log(candidate.mean(1) / _floor(references)) - null.mean(1)
    return _one_more(score, null.std(1, ddof=1), k)


def log_ratio_scaled(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Log-ratio; leave-one-out values scaled by (K - 1) / K."""
    return _scaled(candidate, references, references.shape[1] - 1)


def log_ratio_heavy(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The same with at most 5 degrees of freedom, a tail for skewed models: the test that verdicts use."""
    return _scaled(candidate, references, tail_df(references.shape[1]))


def _scaled(candidate: np.ndarray, references: np.ndarray, df: int) -> np.ndarray:
    k = references.shape[1]
    null = np.log(np.divide(*_leave_one_out(references))) * (k - 1) / k
    return _one_more(np.log(candidate.mean(1) / _floor(references)), null.std(1, ddof=1), k, df)


def log_ratio_pooled(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Scaled log-ratio with one variance for all groups; Satterthwaite's degrees of freedom for their correlation."""
    k = references.shape[1]
    null = np.log(np.divide(*_leave_one_out(references))) * (k - 1) / k
    centred = null - null.mean(1, keepdims=True)
    covariance = np.einsum("bkg,bkh->bgh", centred, centred) / (k - 1)
    score = np.log(candidate.mean(1) / _floor(references))
    spread = np.sqrt(_diagonal(covariance).mean(1))
    return _one_more(score, spread[:, None], k, _pooled_df(covariance, k)[:, None])


def _among_all(candidate: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log mean discrepancy to the K others, of the candidate (B, G) and of each reference (B, K, G)."""
    k = references.shape[1]
    return np.log(candidate.mean(1)), np.log((references.sum(2) + candidate) / k)


def exchangeable(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Each of the K + 1 models against the K others, so that under the null all are exchangeable; then a t-test."""
    own, null = _among_all(candidate, references)
    return _one_more(own - null.mean(1), null.std(1, ddof=1), references.shape[1])


def rank(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The candidate's rank among the K + 1 models: exact, and never below 1 / (K + 1)."""
    own, null = _among_all(candidate, references)
    return (1 + (null >= own[:, None]).sum(1)) / (references.shape[1] + 1)


def excess(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The plain excess D - F in place of the log-ratio, scaled in the same way."""
    k = references.shape[1]
    null = np.subtract(*_leave_one_out(references)) * (k - 1) / k
    return _one_more(candidate.mean(1) - _floor(references), null.std(1, ddof=1), k)


USED = "log-ratio, scaled, at most 5 df (used)"
TESTS: dict[str, Test] = {
    USED: log_ratio_heavy,
    "log-ratio, scaled": log_ratio_scaled,
    "log-ratio, as in the first design": log_ratio,
    "log-ratio, variance pooled over groups": log_ratio_pooled,
    "K + 1 exchangeable models": exchangeable,
    "excess, scaled": excess,
    "rank": rank,
}


def bounds(candidate: np.ndarray, references: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return one-sided jackknife bounds (B, G) of log(D / F), by each group's own variance: those that verdicts use."""
    score, covariance, k = _jackknife(candidate, references)
    width = t.isf(alpha, k - 1) * np.sqrt(_diagonal(covariance))
    return score - width, score + width


def pooled_bounds(candidate: np.ndarray, references: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The same with one variance for all groups, and Satterthwaite's degrees of freedom for their correlation."""
    score, covariance, k = _jackknife(candidate, references)
    width = (t.isf(alpha, _pooled_df(covariance, k)) * np.sqrt(_diagonal(covariance).mean(1)))[:, None]
    return score - width, score + width


def careful_bounds(candidate: np.ndarray, references: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The same, but never with less than the group's own variance."""
    score, covariance, k = _jackknife(candidate, references)
    own = _diagonal(covariance)
    width = t.isf(alpha, _pooled_df(covariance, k))[:, None] * np.sqrt(np.maximum(own, own.mean(1, keepdims=True)))
    return score - width, score + width


def _jackknife(candidate: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return log(D / F) (B, G), its jackknife covariance over groups (B, G, G), and K."""
    k = references.shape[1]
    _, floors = _leave_one_out(references)
    without = np.log((candidate.sum(1, keepdims=True) - candidate) / (k - 1) / floors)
    centred = without - without.mean(1, keepdims=True)
    covariance = np.einsum("bkg,bkh->bgh", centred, centred) * (k - 1) / k
    return np.log(candidate.mean(1) / _floor(references)), covariance, k


def _diagonal(covariance: np.ndarray) -> np.ndarray:
    return np.einsum("bgg->bg", covariance)


def _pooled_df(covariance: np.ndarray, k: int) -> np.ndarray:
    return (k - 1) * _diagonal(covariance).sum(1) ** 2 / (covariance**2).sum((1, 2))


USED_BOUNDS = "each group's own variance (used)"
BOUNDS: dict[str, Bounds] = {
    USED_BOUNDS: bounds,
    "one variance for all groups": pooled_bounds,
    "one variance, but never below the group's own": careful_bounds,
}


def limits(references: np.ndarray, policy: Policy) -> np.ndarray:
    """Return the tolerance on the scale of log(D / F), (B, G)."""
    return np.log1p(np.maximum(policy.absolute / _floor(references), policy.relative))


def outcomes(candidate: np.ndarray, references: np.ndarray, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """Tell (B,) which audits fail, and which pass: what `audit.verdict.decide` says, for positive discrepancies."""
    lower, upper = bounds(candidate, references, policy.alpha)
    limit = limits(references, policy)
    failed = rejected(log_ratio_heavy(candidate, references), policy.alpha) & (lower > limit)
    return failed.any(1), (upper <= limit).all(1)


def rejected(p_values: np.ndarray, alpha: float) -> np.ndarray:
    """Tell (B, G) which hypotheses Holm's procedure rejects at family level alpha."""
    b, g = p_values.shape
    order = np.argsort(p_values, axis=1)
    steps = np.take_along_axis(p_values, order, 1) * (g - np.arange(g))
    steps = np.maximum.accumulate(steps, axis=1)
    found = np.empty((b, g), bool)
    np.put_along_axis(found, order, steps <= alpha, 1)
    return found
