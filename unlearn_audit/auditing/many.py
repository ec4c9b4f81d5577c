"""The test, the bounds and the verdicts in use, for many audits at once: what calibration repeats ten thousand times.

`statistics` and `verdict` say the same of one audit, and also of several candidates, empty strata, floors of 0 and
sampling errors, none of which is drawn here. One audit at a time would take hours for what takes seconds here; so there
are two implementations, and `tests/auditing/test_many.py` holds them equal.

All take stratum means of B audits: `candidate` (B, K, G), d(u, r_k), and `references` (B, K, K, G), d(r_k, r_l), all
positive but for the diagonal. K are references, G groups of examples.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from unlearn_audit.auditing._scores import tail_df
from unlearn_audit.auditing.verdict import Policy


def p_values(candidate: np.ndarray, references: np.ndarray, df: int | None = None) -> np.ndarray:
    """Return p-values (B, G): the log-ratio as one more draw beside the references left out in turn.

    Leave-one-out values are scaled by (K - 1) / K; the tail is that of Student's t with at most 5 degrees of freedom,
    or with `df`, to compare.
    """
    k = references.shape[1]
    null = scaled_null(references)
    score = np.log(candidate.mean(1) / floors(references))
    return one_more(score, null.std(1, ddof=1), k, tail_df(k) if df is None else df)


def scaled_null(references: np.ndarray) -> np.ndarray:
    """Return the log-ratio of each reference against the others, scaled by (K - 1) / K: (B, K, G)."""
    k = references.shape[1]
    return np.log(np.divide(*leave_one_out(references))) * (k - 1) / k


def leave_one_out(references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return D and F of each reference against the others, (B, K, G) each."""
    k = references.shape[1]
    total, row = references.sum((1, 2)), references.sum(2)
    return row / (k - 1), (total[:, None] - 2 * row) / ((k - 1) * (k - 2))


def floors(references: np.ndarray) -> np.ndarray:
    """Return F (B, G), the mean over pairs."""
    k = references.shape[1]
    return references.sum((1, 2)) / (k * (k - 1))


def one_more(score: np.ndarray, spread: np.ndarray, k: int, df: np.ndarray | int | None = None) -> np.ndarray:
    """Return the p-value of a score as one more draw beside K; by default with K - 1 degrees of freedom."""
    found: np.ndarray = t.sf(score / (spread * np.sqrt(1 + 1 / k)), k - 1 if df is None else df)
    return found


def bounds(candidate: np.ndarray, references: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return one-sided jackknife bounds (B, G) of log(D / F), by each group's own variance."""
    score, covariance, k = jackknife(candidate, references)
    width = t.isf(alpha, k - 1) * np.sqrt(diagonal(covariance))
    return score - width, score + width


def jackknife(candidate: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return log(D / F) (B, G), its jackknife covariance over groups (B, G, G), and K."""
    k = references.shape[1]
    _, without_one = leave_one_out(references)
    without = np.log((candidate.sum(1, keepdims=True) - candidate) / (k - 1) / without_one)
    centred = without - without.mean(1, keepdims=True)
    covariance = np.einsum("bkg,bkh->bgh", centred, centred) * (k - 1) / k
    return np.log(candidate.mean(1) / floors(references)), covariance, k


def diagonal(covariance: np.ndarray) -> np.ndarray:
    """Return the variances (B, G) of covariances (B, G, G)."""
    found: np.ndarray = np.einsum("bgg->bg", covariance)
    return found


def limits(references: np.ndarray, policy: Policy) -> np.ndarray:
    """Return the tolerance on the scale of log(D / F), (B, G)."""
    found: np.ndarray = np.log1p(np.maximum(policy.absolute / floors(references), policy.relative))
    return found


def outcomes(candidate: np.ndarray, references: np.ndarray, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """Tell (B,) which audits fail, and which pass: what `verdict.decide` says, if G are the groups of a verdict."""
    lower, upper = bounds(candidate, references, policy.alpha)
    limit = limits(references, policy)
    failed = rejected(p_values(candidate, references), policy.alpha) & (lower > limit)
    return np.any(failed, axis=1), np.all(upper <= limit, axis=1)


def rejected(p_values: np.ndarray, alpha: float) -> np.ndarray:
    """Tell (B, G) which hypotheses Holm's procedure rejects at family level alpha."""
    b, g = p_values.shape
    order = np.argsort(p_values, axis=1)
    steps = np.take_along_axis(p_values, order, 1) * (g - np.arange(g))
    steps = np.maximum.accumulate(steps, axis=1)
    found = np.empty((b, g), bool)
    np.put_along_axis(found, order, steps <= alpha, 1)
    return found
