"""How much of alpha each audit of a sequence may spend, so that all together spend at most alpha.

Audits of one model share references and data, so that their errors depend on each other in ways that nobody knows.
Alpha-spending holds under any dependence (the union bound): the probability of any wrong "fail" in the whole sequence,
however long, is at most the sum of the levels. It is the simplest online method that controls the probability of any
error (Tian and Ramdas 2021). Alpha-investing (Foster and Stine 2008) controls a rate of errors instead, and earns more
to spend by each fail.

With n audits expected, audit i may spend alpha n / ((n + i - 1)(n + i)). The sum over all i is alpha exactly, since
each term is n / (n + i - 1) - n / (n + i). The first n audits share half of alpha nearly evenly; the rest is for as
many more as may come.
"""

from __future__ import annotations


def level(alpha: float, expected: int, audit: int) -> float:
    """Return what an audit may spend.

    Args:
        alpha: over the whole sequence, in (0, 0.5).
        expected: how many audits are expected, at least 1; more may come.
        audit: number of the audit, from 1.

    >>> level(0.05, 10, 1), level(0.05, 10, 10)
    (0.004545454545454545, 0.0013157894736842105)
    """
    return alpha * expected / ((expected + audit - 1) * (expected + audit))
