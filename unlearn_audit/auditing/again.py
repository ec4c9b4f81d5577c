"""Earlier deletion requests asked again of the newest model: is each, by itself, still forgotten?

The models of one audit were made without the examples of all requests so far. Each request's examples are a group of
their own, and the first question is asked of every one, by level and by pattern, corrected over all requests (Holm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unlearn_audit.auditing.discrepancy import discrepancies
from unlearn_audit.auditing.figures import AllFigures
from unlearn_audit.auditing.groups import QuestionGroup
from unlearn_audit.auditing.models import AuditSubject
from unlearn_audit.auditing.policy import Policy, measure_of_pattern
from unlearn_audit.auditing.questions import Finding, answer_questions
from unlearn_audit.errors import AuditError
from unlearn_audit.measures import registry


def asked_again(
    subject: AuditSubject, candidate: str, requests: Mapping[str, Sequence[str]], policy: Policy
) -> dict[str, tuple[Finding, ...]]:
    """Return the findings on each request: level and pattern of a candidate on its examples.

    Args:
        subject: of an audit whose forget set holds all requests.
        candidate: name of the model.
        requests: example ids by the name of the request.
        policy: what is tolerated, and alpha for all requests together.

    Raises:
        AuditError: where an id of a request is not among the examples.
    """
    references = [model.predictions[0] for model in subject.references.values()]
    groups = [_group(name, ids, subject) for name, ids in requests.items()]
    models = list(subject.candidates[candidate].predictions)
    members = np.column_stack([group.members for group in groups])
    measures = [measure_of_pattern(policy), registry.create("disagreement")]
    (pattern, top1), scores = discrepancies(models, references, members, measures)
    figures = AllFigures(
        groups=groups,
        pattern=pattern,
        top1=top1,
        models={candidate: scores[: len(models)]},
        rows={candidate: range(len(models))},
        references=dict(zip(subject.references, scores[len(models) :], strict=True)),
    )
    answers = answer_questions(figures.of_model(candidate), policy)
    found = [finding for answer in answers for finding in answer.findings]
    return {name: tuple(finding for finding in found if finding.group == name) for name in requests}


def _group(name: str, ids: Sequence[str], subject: AuditSubject) -> QuestionGroup:
    members = np.isin(subject.first.example_ids, np.asarray(ids, dtype=str))
    if members.sum() != len(set(ids)):
        raise AuditError(f"Expected predictions for all {len(set(ids))} examples of {name}, got {int(members.sum())}.")
    return QuestionGroup(name, "forgotten", members)
