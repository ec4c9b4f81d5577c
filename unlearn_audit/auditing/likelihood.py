"""Example by example: are a model's margins rather those of the original, or of models that never saw the example?

The likelihood-ratio attack (LiRA: Carlini et al. 2022, arXiv 2112.03570), for few models: Student's t around the mean
of the K retrained models, against Student's t around the mean of the O originals, both with one variance an example.
Three models tell a variance badly, so that it is moderated over the deleted examples (Smyth 2004), as variances of
levels are over groups.
"""

from __future__ import annotations

import numpy as np

from unlearn_audit.auditing._scores import LEAST_VARIANCE, PRIOR_DF


def likelihood_ratios(margins: np.ndarray, original: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return log10 of the likelihood that a model saw each of n deleted examples over that it did not.

    1 says that such a margin is ten times likelier around the original's than around the retrained models'. A retrained
    model exceeds 1 at no more than about one deleted example in ten, whatever the original is. The examples of one
    model are not independent: ratios must not be multiplied.

    Args:
        margins: (n,) φ = log p(y) - log(1 - p(y)) of the model, in nats, finite; mean over J.
        original: (O, n) of the models before unlearning.
        references: (K, n) of the retrained models, K >= 3: fewer tell no variance.

    Returns:
        (n,) float64.
    """
    from scipy.stats import t

    k, seen = len(references), len(original)
    own = np.maximum(references.var(axis=0, ddof=1), LEAST_VARIANCE)
    prior = np.exp(np.log(own).mean())
    df = k - 1 + PRIOR_DF
    spread = np.sqrt((PRIOR_DF * prior + (k - 1) * own) / df)
    knows = t.logpdf(margins, df, original.mean(axis=0), spread * np.sqrt(1 + 1 / seen))
    never = t.logpdf(margins, df, references.mean(axis=0), spread * np.sqrt(1 + 1 / k))
    return np.asarray((knows - never) / np.log(10))
