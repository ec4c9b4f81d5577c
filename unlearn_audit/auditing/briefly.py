"""The answers as one word and as one short line, for a terminal of 100 columns; `sentences` has them in full."""

from __future__ import annotations

from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, Finding, Outcome
from unlearn_audit.auditing.sentences import decisions_agree, signed

LONGEST = 87  # characters of a brief line, beside the question that it answers
WORDS: dict[Outcome, str] = {"pass": "yes", "fail": "no", "inconclusive": "not settled"}
PLACES: dict[str, str] = {
    "forget": "deleted examples",
    "nearest_retain": "nearest retained examples",
    "near_retain": "nearest tenth of the retained",
    "same_class_retain": "retained of the same classes",
    "near_test": "nearest test examples",
    "same_class_test": "test examples of the same classes",
    "other_retain": "other retained examples",
    "other_test": "other test examples",
}


def answer_word(answer: Answer) -> str:
    """Return "yes", "not settled", or "no" with how it fails."""
    return f"{WORDS[answer.outcome]}: {answer.how}" if answer.how else WORDS[answer.outcome]


def brief(answer: Answer, policy: Policy, unit: str = "bits") -> str:
    """Say an answer in at most `LONGEST` characters: what, where, by how much, and what would settle it."""
    finding = answer.finding
    place = PLACES[finding.group]
    if answer.outcome == "inconclusive":
        return f"?: {place} {_bounds(finding, unit)}; {_settled_by(finding)}"
    if answer.outcome == "pass":
        return f"yes: within the tolerance; farthest {place}, {_difference(finding, unit)}"
    same = ", same decisions" if decisions_agree(finding, policy) else ""
    if finding.kind == "pattern":
        return f"no: predicts otherwise on {place}, {_difference(finding, unit)}{same}"
    if answer.question == "forgotten":
        known = f"confidence {_percent(finding.value)}, retrained models {_percent(finding.expected)}"
        return f"no: {answer.how}: {known}{same}"
    return f"no: {place} lose {abs(100 * finding.difference):.1f} points of confidence{same}"


def _difference(finding: Finding, unit: str) -> str:
    if finding.kind == "level":
        return f"{100 * finding.difference:+.1f} points"
    return f"{signed(finding.difference)} {unit}"


def _bounds(finding: Finding, unit: str) -> str:
    if finding.lower is None or finding.upper is None:
        return _difference(finding, unit)
    if finding.kind == "level":
        return f"{100 * finding.lower:+.1f} to {100 * finding.upper:+.1f} points"
    return f"{signed(finding.lower)} to {signed(finding.upper)} {unit}"


def _settled_by(finding: Finding) -> str:
    needed = finding.references_needed
    return "more models would not settle it" if needed is None else f"K = {needed} would settle it"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
