"""Many audits at once say what one audit at a time says: the two implementations of the test and bounds in use."""

from __future__ import annotations

import numpy as np
import pytest

from unlearn_audit.auditing.many import bounds, limits, p_values, rejected
from unlearn_audit.auditing.statistics import compare, holm
from unlearn_audit.auditing.verdict import Policy

AUDITS, GROUPS = 12, 3


def drawn(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means of candidates (B, K, G) and references (B, K, K, G), 0 on the diagonal."""
    rng = np.random.default_rng(k)
    effects = 0.2 * rng.normal(size=(AUDITS, k + 1, GROUPS))
    whole = 0.1 * np.exp(effects[:, :, None] + effects[:, None])
    references = whole[:, :k, :k] * ~np.eye(k, dtype=bool)[..., None]
    return 1.3 * whole[:, k, :k], references


@pytest.mark.parametrize("k", [3, 4, 6, 12])
def test_p_values_and_bounds_are_those_of_one_audit(k) -> None:
    candidate, references = drawn(k)
    policy = Policy(alpha=0.1)
    found, (lower, upper) = p_values(candidate, references), bounds(candidate, references, policy.alpha)
    limit = limits(references, policy)
    for b in range(AUDITS):
        one = compare(
            candidate[None, b],
            references[b],
            counts=np.full(GROUPS, 99),
            tolerance=policy.tolerance,
            alpha=policy.alpha,
        ).strata
        np.testing.assert_allclose(found[b], [s.p_value for s in one], rtol=1e-9)
        np.testing.assert_allclose(np.exp(lower[b]), [s.lower for s in one], rtol=1e-9)
        np.testing.assert_allclose(np.exp(upper[b]), [s.upper for s in one], rtol=1e-9)
        assert (lower[b] > limit[b]).tolist() == [s.above_tolerance for s in one]
        assert (upper[b] <= limit[b]).tolist() == [s.within_tolerance for s in one]
        assert rejected(found, 0.1)[b].tolist() == (holm(found[b]) <= 0.1).tolist()


def test_rejections_are_holms():
    p_values = np.array([[0.01, 0.04, 0.03], [0.02, 0.9, 0.9], [0.01, 0.02, 0.04]])
    expected = [[True, False, False], [False, False, False], [True, True, True]]
    np.testing.assert_array_equal(rejected(p_values, 0.05), expected)
