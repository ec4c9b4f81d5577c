"""An audit's answers without its figures: what is published where figures would tell who was forgotten.

`audit/answers.json` says, of one candidate, yes, no or not settled to each question, by how many retrained models,
under which policy, for which weights, and commits to the forget set by its salted hash: no size, no class, no figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unlearn_audit.auditing.briefly import WORDS
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.policy import FirstPolicy, Policy
from unlearn_audit.auditing.questions import Outcome
from unlearn_audit.auditing.report import AuditReport, ModelRecord
from unlearn_audit.errors import AuditError
from unlearn_audit.files import LARGEST_JSON, regular

ANSWERS = "answers.json"


@dataclass(frozen=True)
class PublishedAnswers:
    """What is published of an audit without figures.

    Attributes:
        model: name of the candidate.
        method: by which it was made to forget.
        weights_hash: of the weights that were audited.
        data: name of the data set.
        num_references: K.
        policy: what the audit tolerated.
        outcome: of the verdict; "inconclusive" where none is given.
        answers: "yes", "no" or "not settled" by question; empty without a verdict.
        test_accuracy: of the model, in [0, 1].
        commitment: the salted hash of the forget set.
        created: when the audit was made (UTC, ISO 8601).
        versions: that made it.
    """

    model: str
    method: str | None
    weights_hash: str
    data: str
    num_references: int
    policy: Policy | FirstPolicy
    outcome: Outcome
    answers: dict[Question, str]
    test_accuracy: float | None
    commitment: str
    created: str
    versions: dict[str, str]

    @classmethod
    def of(cls, report: AuditReport, model: ModelRecord, commitment: str) -> PublishedAnswers:
        """Take them from a report; how a question fails is left out, since it tells of the forget set."""
        judgement, verdict = report.judgements.get(model.name), report.verdicts[model.name]
        given = judgement.answers if judgement is not None and not judgement.withheld else ()
        figures = report.aggregate.get(model.name)
        return cls(
            model=model.name,
            method=model.method,
            weights_hash=model.weights_hash,
            data=report.data.name,
            num_references=report.num_references,
            policy=report.policy,
            outcome=verdict.outcome,
            answers={answer.question: WORDS[answer.outcome] for answer in given},
            test_accuracy=figures.test_accuracy if figures else None,
            commitment=commitment,
            created=report.provenance.created,
            versions=report.provenance.versions,
        )

    def to_json(self) -> str:
        """Return it as JSON text."""
        return str(_adapter().dump_json(self, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> PublishedAnswers:
        """Read `answers.json` of a published folder; raises `AuditError` where it cannot be read."""
        from pydantic import ValidationError

        path = Path(folder) / ANSWERS
        try:
            found: PublishedAnswers = _adapter().validate_json(regular(path, LARGEST_JSON).read_bytes())
        except (OSError, ValidationError) as error:
            raise AuditError(
                f"Expected the published answers of an audit in {path.name}, found none: {error}"
            ) from error
        return found


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(PublishedAnswers)
