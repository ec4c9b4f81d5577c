"""Tests and bounds that verdicts do not use, to be compared with those that they use, which are in `auditing.many`.

All take stratum means of a group of audits: `candidate` (B, K, G), d(u, r_k), and `references` (B, K, K, G), and
return p-values (B, G). B audits, K references, G groups of examples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import t

from unlearn_audit.auditing import many

Test = Callable[[np.ndarray, np.ndarray], np.ndarray]
Bounds = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def log_ratio(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Log-ratio; leave-one-out values taken as they are, around their own mean."""
    k = references.shape[1]
    null = np.log(np.divide(*many.leave_one_out(references)))
    score = np.log(candidate.mean(1) / many.floors(references)) - null.mean(1)
    return many.one_more(score, null.std(1, ddof=1), k)


def log_ratio_scaled(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Log-ratio; leave-one-out values scaled by (K - 1) / K."""
    return many.p_values(candidate, references, df=references.shape[1] - 1)


def log_ratio_pooled(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Scaled log-ratio with one variance for all groups; Satterthwaite's degrees of freedom for their correlation."""
    k = references.shape[1]
    null = many.scaled_null(references)
    centred = null - null.mean(1, keepdims=True)
    covariance = np.einsum("bkg,bkh->bgh", centred, centred) / (k - 1)
    score = np.log(candidate.mean(1) / many.floors(references))
    spread = np.sqrt(many.diagonal(covariance).mean(1))
    return many.one_more(score, spread[:, None], k, _pooled_df(covariance, k)[:, None])


def _among_all(candidate: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log mean discrepancy to the K others, of the candidate (B, G) and of each reference (B, K, G)."""
    k = references.shape[1]
    return np.log(candidate.mean(1)), np.log((references.sum(2) + candidate) / k)


def exchangeable(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Each of the K + 1 models against the K others, so that under the null all are exchangeable; then a t-test."""
    own, null = _among_all(candidate, references)
    return many.one_more(own - null.mean(1), null.std(1, ddof=1), references.shape[1])


def rank(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The candidate's rank among the K + 1 models: exact, and never below 1 / (K + 1)."""
    own, null = _among_all(candidate, references)
    return (1 + (null >= own[:, None]).sum(1)) / (references.shape[1] + 1)


def excess(candidate: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The plain excess D - F in place of the log-ratio, scaled in the same way."""
    k = references.shape[1]
    null = np.subtract(*many.leave_one_out(references)) * (k - 1) / k
    return many.one_more(candidate.mean(1) - many.floors(references), null.std(1, ddof=1), k)


USED = "log-ratio, scaled, at most 5 df (used)"
TESTS: dict[str, Test] = {
    USED: many.p_values,
    "log-ratio, scaled": log_ratio_scaled,
    "log-ratio, as in the first design": log_ratio,
    "log-ratio, variance pooled over groups": log_ratio_pooled,
    "K + 1 exchangeable models": exchangeable,
    "excess, scaled": excess,
    "rank": rank,
}


def pooled_bounds(candidate: np.ndarray, references: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """One-sided jackknife bounds with one variance for all groups; Satterthwaite's degrees of freedom."""
    score, covariance, k = many.jackknife(candidate, references)
    width = (t.isf(alpha, _pooled_df(covariance, k)) * np.sqrt(many.diagonal(covariance).mean(1)))[:, None]
    return score - width, score + width


def careful_bounds(candidate: np.ndarray, references: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The same, but never with less than the group's own variance."""
    score, covariance, k = many.jackknife(candidate, references)
    own = many.diagonal(covariance)
    width = t.isf(alpha, _pooled_df(covariance, k))[:, None] * np.sqrt(np.maximum(own, own.mean(1, keepdims=True)))
    return score - width, score + width


def _pooled_df(covariance: np.ndarray, k: int) -> np.ndarray:
    return (k - 1) * many.diagonal(covariance).sum(1) ** 2 / (covariance**2).sum((1, 2))


USED_BOUNDS = "each group's own variance (used)"
BOUNDS: dict[str, Bounds] = {
    USED_BOUNDS: many.bounds,
    "one variance for all groups": pooled_bounds,
    "one variance, but never below the group's own": careful_bounds,
}
