"""The self-test: models of known nature through the three questions, with this installation, in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from unlearn_audit.auditing.judgement import judge
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Outcome
from unlearn_audit.auditing.verdict import verdict_of
from unlearn_audit.calibration.draws import measured, random_audits
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, shipped_pool

POOL = "memorising"
NUM_REFERENCES = 8
# What an audit that works says of models of these kinds; of all others, anything but what it says of honest ones.
EXPECTED: dict[str, tuple[Outcome, ...]] = {HONEST: ("pass", "inconclusive"), ORIGINAL: ("fail",)}
OTHERS: tuple[Outcome, ...] = ("fail", "inconclusive")


@dataclass(frozen=True)
class SelfTestRow:
    """One model of known nature: what is expected of it, and what came out."""

    model: str
    expected: str
    outcome: Outcome
    behaves: bool
    reason: str


@dataclass(frozen=True)
class SelfTest:
    """All rows, and how long it took."""

    rows: tuple[SelfTestRow, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all behave."""
        return all(row.behaves for row in self.rows)


def run_selftest(*, seed: int = 0, progress: Callable[[str, int, int], None] | None = None) -> SelfTest:
    """Judge one model of each kind of the shipped memorising pool, by 8 retrained models.

    Args:
        seed: of the choice of models.
        progress: called with what is done, how many kinds are, and how many there are.
    """
    import numpy as np

    start = time.perf_counter()
    policy, rng = Policy(), np.random.default_rng(seed)
    figures = measured(shipped_pool(POOL), policy.measure)
    rows = []
    kinds = list(figures[0].kinds)
    for done, kind in enumerate(kinds):
        if progress is not None:
            progress(kind, done, len(kinds))
        (drawn,) = random_audits(figures, kind, NUM_REFERENCES, 1, rng)
        verdict = verdict_of(judge(drawn.figures, policy))
        expected = EXPECTED.get(kind, OTHERS)
        behaves = verdict.outcome in expected
        rows.append(SelfTestRow(kind, " or ".join(expected), verdict.outcome, behaves, verdict.reason))
    return SelfTest(tuple(rows), time.perf_counter() - start)
