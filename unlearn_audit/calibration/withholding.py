"""Is an audit of honest references withheld? Posing references and suspicions, as every audit looks for them."""

from __future__ import annotations

import dataclasses

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.controls import posing_alpha
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import answer_questions, overall
from unlearn_audit.auditing.suspicions import ReferenceFigures, suspicions
from unlearn_audit.calibration.draws import RandomAudit
from unlearn_audit.calibration.pool import HONEST


def is_withheld(audit: RandomAudit, policy: Policy) -> bool:
    """Tell whether the audit gives no verdict because its references seem not to be alike."""
    return bool(suspicions(_figures(audit), tolerance=policy.level, alpha=policy.alpha)) or _some_reference_fails(
        audit, policy
    )


def _some_reference_fails(audit: RandomAudit, policy: Policy) -> bool:
    k = len(audit.references)
    if k <= MIN_REFERENCES:
        return False
    strict = dataclasses.replace(policy, alpha=posing_alpha(policy.alpha, k))
    return any(overall(answer_questions(audit.posing(place), strict, advise=False)) == "fail" for place in range(k))


def _figures(audit: RandomAudit) -> ReferenceFigures:
    counts = np.asarray(audit.pool.counts)
    share = counts / counts.sum()
    honest, candidates = audit.pool.kinds[HONEST], audit.pool.kinds[audit.kind]
    between = np.nan_to_num(honest.discrepancies[np.ix_(audit.references, audit.references)]) @ share
    to_references = candidates.discrepancies[np.ix_(audit.models, audit.references)] @ share
    return ReferenceFigures(
        names=[str(reference) for reference in audit.references],
        between=between,
        others={"candidate": to_references.min(axis=0)},
        forget_levels=honest.levels[audit.references, 0],
        test_accuracies=honest.test_accuracies[audit.references],
    )
