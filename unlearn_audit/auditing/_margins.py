"""U-LiRA and KLoM: distributions of margins over models, each with a null from permuting models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unlearn_audit.errors import AuditError

MIN_MODELS = 16
BINS = 20
KL_LIMIT = 100.0


@dataclass(frozen=True)
class MarginTest:
    """A statistic of J unlearned and K retrained models' margins on the forget set, with its null.

    Attributes:
        statistic: U-LiRA: accuracy of the attack, 0.5 where nothing can be told. KLoM: mean over examples, in nats.
        null_mean: mean of the statistic where the models' names are permuted.
        null_upper: its 95 % quantile.
        p_value: share of permutations, the models as they are included, with a statistic at least as large.
    """

    statistic: float
    null_mean: float
    null_upper: float
    p_value: float


def u_lira(unlearned: np.ndarray, retrained: np.ndarray, *, permutations: int = 199, seed: int = 0) -> MarginTest:
    """Attack each model by example-wise Gaussian likelihood ratios fitted to the others (arXiv 2403.01218).

    Args:
        unlearned: (J, n) margins on the n forget examples, J >= 16.
        retrained: (K, n), K >= 16.
        permutations: of models, for the null.
        seed: of the permutations.
    """
    return _permuted(_attack_accuracy, unlearned, retrained, permutations, seed)


def klom(unlearned: np.ndarray, retrained: np.ndarray, *, permutations: int = 199, seed: int = 0) -> MarginTest:
    """Average over examples the KL divergence of margins, unlearned from retrained, in 20 bins (arXiv 2410.23232).

    Args: as for `u_lira`.
    """
    return _permuted(_mean_divergence, unlearned, retrained, permutations, seed)


def _permuted(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    unlearned: np.ndarray,
    retrained: np.ndarray,
    permutations: int,
    seed: int,
) -> MarginTest:
    j, k = len(unlearned), len(retrained)
    if min(j, k) < MIN_MODELS:
        raise AuditError(f"Expected at least {MIN_MODELS} unlearned and retrained models, got {j} and {k}.")
    observed = statistic(unlearned, retrained)
    together, rng = np.concatenate([unlearned, retrained]), np.random.default_rng(seed)
    null = []
    for _ in range(permutations):
        order = rng.permutation(j + k)
        null.append(statistic(together[order[:j]], together[order[j:]]))
    larger = np.count_nonzero(np.asarray(null) >= observed - 1e-12)
    return MarginTest(
        statistic=observed,
        null_mean=float(np.mean(null)),
        null_upper=float(np.quantile(null, 0.95)),
        p_value=(1 + larger) / (1 + permutations),
    )


def _attack_accuracy(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    """Return the balanced accuracy of the attack; the attacked model is left out of its own Gaussian."""
    hits = []
    for own, other in ((unlearned, retrained), (retrained, unlearned)):
        favour = _log_density_without_self(own) - _log_density(own, other)
        hits.append(np.where(favour == 0, 0.5, favour > 0).mean())
    return float(np.mean(hits))


def _log_density(points: np.ndarray, sample: np.ndarray) -> np.ndarray:
    return _gaussian(points, sample.mean(axis=0), sample.var(axis=0, ddof=1))


def _log_density_without_self(sample: np.ndarray) -> np.ndarray:
    """Return for each point its log-density under the Gaussian fitted to all other points of the sample."""
    m = len(sample)
    mean = sample.mean(axis=0)
    deviation = sample - mean
    without = mean - deviation / (m - 1)
    squares = (deviation**2).sum(axis=0) - deviation**2 * m / (m - 1)
    return _gaussian(sample, without, squares / (m - 2))


def _gaussian(x: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    variance = np.maximum(variance, 1e-9)
    return -0.5 * (np.log(variance) + (x - mean) ** 2 / variance)


def _mean_divergence(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    low = np.minimum(unlearned.min(axis=0), retrained.min(axis=0))
    high = np.maximum(unlearned.max(axis=0), retrained.max(axis=0))
    p, q = (_histogram(sample, low, high) for sample in (unlearned, retrained))  # (n, bins)
    divergence = (p * (np.log(p) - np.log(q))).sum(axis=1)
    return float(np.minimum(divergence, KL_LIMIT).mean())


def _histogram(sample: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return shares (n, bins) of the sample (m, n) in equal bins of each example's range; empty bins hold 1e-5."""
    width = np.where(high > low, high - low, 1.0)
    place = np.minimum(((sample - low) / width * BINS).astype(np.int64), BINS - 1)
    n = sample.shape[1]
    flat = (np.arange(n) * BINS + place).ravel()
    shares = np.bincount(flat, minlength=n * BINS).reshape(n, BINS) / len(sample) + 1e-5
    return shares / shares.sum(axis=1, keepdims=True)
