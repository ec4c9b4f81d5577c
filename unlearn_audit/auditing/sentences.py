"""The answers in words that a customer understands; figures as percentages, differences as percentage points."""

from __future__ import annotations

from collections.abc import Callable

from unlearn_audit.auditing.groups import GROUP_TITLES, Question
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import Answer, Finding

TITLES: dict[Question, str] = {
    "forgotten": "Forgotten?",
    "neighbours": "Neighbours unharmed?",
    "rest": "Everything else unharmed?",
}


def sentence(answer: Answer, policy: Policy, unit: str = "bits") -> str:
    """Say an answer in one or two sentences: what, where, by how much, and what would settle it."""
    opening = {"pass": _passing, "fail": _failing, "inconclusive": _open}[answer.outcome](answer)
    finding = answer.finding
    parts = [f"{opening} {_figures(finding, policy, unit)}"]
    if answer.outcome == "fail" and decisions_agree(finding, policy):
        parts.append(_agreement(finding))
    if answer.outcome == "inconclusive":
        parts.append(_advice(finding))
    return " ".join(parts)


def _passing(answer: Answer) -> str:
    if answer.question == "forgotten":
        return "It knows the deleted examples as models do that never saw them."
    return f"Within the tolerance everywhere; the farthest is {GROUP_TITLES[answer.finding.group]}."


def _failing(answer: Answer) -> str:
    place = GROUP_TITLES[answer.finding.group]
    return {
        "remembers": "It remembers: it recognises the deleted examples better than models that never saw them.",
        "over-forgets": "It over-forgets: it recognises the deleted examples worse than models that never saw them.",
        "loses confidence": f"It lost confidence on {place}.",
        "predicts otherwise": f"Its predictions on {place} are unlike any retrained model's.",
    }[answer.how]


def _open(answer: Answer) -> str:
    return f"Not settled on {GROUP_TITLES[answer.finding.group]}."


def _figures(finding: Finding, policy: Policy, unit: str) -> str:
    if finding.kind == "level":
        text = (
            f"Mean confidence in the label {_percent(finding.value)}, retrained models {_percent(finding.expected)}: "
            f"{_points(finding.difference)}"
        )
        bounds = _bounds(finding, lambda bound: f"{100 * bound:+.1f}")
        tolerance = f"tolerance {100 * policy.level:g}"
    else:
        text = (
            f"Discrepancy {finding.value:.3f} {unit}, between retrained models {finding.expected:.3f}: "
            f"excess {signed(finding.difference)}"
        )
        bounds = _bounds(finding, signed)
        tolerance = f"tolerance {policy.pattern:g}"
    p_value = "" if finding.p_holm is None else f", p {_probability(finding.p_holm)}"
    return f"{text} ({bounds}{tolerance}{p_value})."


def _bounds(finding: Finding, write: Callable[[float], str]) -> str:
    if finding.lower is None or finding.upper is None:
        return ""
    return f"{write(finding.lower)} to {write(finding.upper)}, "


def decisions_agree(finding: Finding, policy: Policy) -> bool:
    """Whether the model's top-1 classes differ from the references' hardly more than theirs among themselves."""
    if finding.disagreement is None or finding.reference_disagreement is None:
        return False
    return finding.disagreement - finding.reference_disagreement <= policy.pattern


def _agreement(finding: Finding) -> str:
    return (
        f"Its decisions there agree with theirs ({_percent(finding.disagreement or 0)} differ, and "
        f"{_percent(finding.reference_disagreement or 0)} between retrained models): it is its confidence that differs."
    )


def _advice(finding: Finding) -> str:
    if finding.references_needed is None:
        return "No reasonable number of retrained models would settle it."
    return f"About {finding.references_needed} retrained models would settle it, if it stays as it is."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if 0.095 <= abs(share) < 0.995 or share in (0, 1) else f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def signed(value: float) -> str:
    """Write a difference in a measure's unit; a bound that is very far away, shortly."""
    return f"{value:+.3f}" if abs(value) < 10 else f"{value:+.3g}"


def _probability(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"
