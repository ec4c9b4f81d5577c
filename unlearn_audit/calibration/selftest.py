"""The self-test: models of known nature through a whole audit, on this machine and with this installation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.auditing.verdict import Policy, verdict_groups
from unlearn_audit.calibration.pool import Pool, PoolSize, load_pool
from unlearn_audit.predictions import Predictions

NUM_REFERENCES = 8
NUM_HONEST = 4
MUST_FAIL = ("GA", "untrained")


@dataclass(frozen=True)
class SelfTestRow:
    """One model of known nature.

    Attributes:
        model: what it is.
        expected: "fail", "not fail", or "reported" where any outcome may be right.
        outcome: "pass", "fail" or "inconclusive".
        behaves: whether the outcome is as expected.
        detectable: the least ratio to the noise floor that the audit would have told with a power of 80 %, in its most
            sensitive group of examples: a candidate with less damage may well not fail.
        reason: the verdict's, one sentence.
    """

    model: str
    expected: str
    outcome: str
    behaves: bool
    detectable: float | None
    reason: str


@dataclass(frozen=True)
class SelfTest:
    """All rows, and the wall time in seconds (with training, if the pool was not cached)."""

    rows: tuple[SelfTestRow, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all models of known nature got what they should."""
        return all(row.behaves for row in self.rows)


def selftest(*, folder: str | Path | None = None, progress: Callable[[str, int, int], None] | None = None) -> SelfTest:
    """Audit models of known nature on the embedded digits.

    Honest retrained models must not fail: each is judged at level alpha / 4, so that all four together fail by
    chance in at most a share alpha of pools. GA and an untrained model must fail. A model retrained without the wrong
    set, the original, the original with noise added, RL + FT and LTD are reported, with the power that there was.

    Args:
        folder: of the cache of models; what is not there is trained first.
        progress: called before each model.
    """
    start = time.perf_counter()
    size = PoolSize(retrained=NUM_REFERENCES + NUM_HONEST, others=1)
    pool = load_pool(size, folder=folder, progress=progress)
    policy = Policy()
    strict = dataclasses.replace(policy, alpha=policy.alpha / NUM_HONEST)
    honest = {f"retrained {i}": p for i, p in enumerate(pool.predictions["retrained"][NUM_REFERENCES:])}
    others = {kind: found[0] for kind, found in pool.predictions.items() if kind != "retrained"}
    rows = [_row(report, name, "not fail") for report in [_audit(pool, honest, strict)] for name in honest]
    report = _audit(pool, others, policy)
    rows += [_row(report, name, "fail" if name in MUST_FAIL else "reported") for name in others]
    return SelfTest(tuple(rows), time.perf_counter() - start)


def _audit(pool: Pool, candidates: dict[str, Predictions], policy: Policy) -> AuditReport:
    from unlearn_audit.auditing.neighbours import neighbourhood_of
    from unlearn_audit.neighbourhood import NeighbourhoodConfig

    references = pool.predictions["retrained"][:NUM_REFERENCES]
    subject = AuditSubject(
        candidates={f"{name} candidate": AuditedModel((p,)) for name, p in candidates.items()},
        references={f"reference {i}": AuditedModel((p,)) for i, p in enumerate(references)},
        original=AuditedModel((pool.predictions["original"][0],)),
        untrained=AuditedModel((pool.predictions["untrained"][0],)),
        forget_ids=pool.forget.ids,
        forget_description=pool.forget.description,
        forget_hash=pool.forget.hash,
        class_names=pool.data.train.class_names,
    )
    neighbourhood = neighbourhood_of(NeighbourhoodConfig(), subject, None)
    return audit_subject(subject, neighbourhood, policy, measures=[policy.measure], title="Self-test").report


def _row(report: AuditReport, name: str, expected: str) -> SelfTestRow:
    candidate, policy = f"{name} candidate", report.policy
    verdict = report.verdicts[candidate]
    found = {p: report.comparison(candidate, p, policy.measure) for p in policy.populations}
    compared = {population: comparison for population, comparison in found.items() if comparison is not None}
    ratios = [g.statistics.minimum_detectable_ratio for g in verdict_groups(policy, compared)]
    known = [ratio for ratio in ratios if ratio is not None]
    behaves = {"fail": verdict.outcome == "fail", "not fail": verdict.outcome != "fail"}.get(expected, True)
    return SelfTestRow(
        name, expected, verdict.outcome, behaves and not verdict.withheld, min(known, default=None), verdict.reason
    )
