"""The verdict on a candidate in one word and one sentence: what its judgement comes to."""

from __future__ import annotations

from dataclasses import dataclass

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.judgement import Judgement
from unlearn_audit.auditing.questions import Outcome


@dataclass(frozen=True)
class Verdict:
    """What an audit concludes on one candidate.

    Attributes:
        outcome: "pass", "fail" or "inconclusive".
        reason: the sentence of the answer that it rests on.
        num_references: K; a verdict is never told without it.
        references_needed: for "inconclusive", about how many references would settle it; None if that is not known.
        withheld: no verdict was given, because the references or the controls cannot be trusted; the outcome is then
            "inconclusive".
    """

    outcome: Outcome
    reason: str
    num_references: int
    references_needed: int | None = None
    withheld: bool = False


def verdict_of(judgement: Judgement, alarms: tuple[str, ...] = ()) -> Verdict:
    """Return the verdict that a judgement comes to; `alarms` say why it is withheld, if it is."""
    k = judgement.num_references
    if judgement.withheld:
        return Verdict("inconclusive", " ".join(["No verdict is given.", *alarms[:1]]), k, withheld=True)
    if not judgement.answers:
        models = "one retrained model" if k == 1 else f"{k} retrained models"
        reason = f"With {models} their own variation cannot be told; a verdict needs at least {MIN_REFERENCES}."
        return Verdict("inconclusive", reason, k, MIN_REFERENCES)
    place = next((i for i, answer in enumerate(judgement.answers) if answer.outcome == judgement.outcome), 0)
    needed = None
    if judgement.outcome == "inconclusive":
        numbers = [a.finding.references_needed for a in judgement.answers if a.outcome == "inconclusive"]
        known = [number for number in numbers if number is not None]
        needed = max(known) if len(known) == len(numbers) else None
    if judgement.outcome == "pass":
        reason = f"Compared with {k} retrained models it is within the tolerance by level and pattern, in every group."
        return Verdict("pass", reason, k)
    return Verdict(judgement.outcome, judgement.sentences[place], k, needed)
