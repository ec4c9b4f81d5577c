"""What the study did not make itself: what cannot be known of it, and whether it agrees with what the study made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.report import MADE_ELSEWHERE
from unlearn_audit.auditing.suspicions import UNEQUAL_ACCURACY
from unlearn_audit.reporting.sections._section import Section, ShownAudit

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport

__all__ = ["elsewhere"]

TEMPLATE = """
<ul class="plain">
  {% for sentence in sentences %}
  <li>{{ sentence }}</li>
  {% endfor %}
</ul>
"""
_POPULATIONS = {"retain_accuracy": "the retained training examples", "test_accuracy": "the test examples"}


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    sentences = elsewhere_sentences(shown.report)
    return {"sentences": sentences} if sentences else None


elsewhere = Section("elsewhere", "What was made elsewhere", order=65, template=TEMPLATE, values=_values, may_break=True)


def elsewhere_sentences(report: AuditReport) -> tuple[str, ...]:
    """Say what cannot be known of the models that a study did not make; nothing where it made all."""
    names = [name for name in str(report.provenance.configuration.get(MADE_ELSEWHERE, "")).split(", ") if name]
    references = [model.name for model in report.by_role("reference")]
    said = []
    if "original" in names:
        said.append(
            "The original was made elsewhere. How it was trained is not known here: on which examples, from which "
            "weights, for how long, or whether its checkpoint was chosen by the test examples. That it was trained on "
            "the forget set is what the person says who gave it."
        )
        said += agreement(report)
    given = [name for name in references if name in names]
    if given:
        said.append(
            f"Made elsewhere, too: {', '.join(given)}. That they never saw the forget set, and were trained as the "
            "original was, is what the person says who gave them."
        )
    if "original" in names and len(given) < len(references):
        said.append(
            "The retrained models were made by this study. Verdicts hold as far as the original was trained so, too."
        )
    return tuple(said)


def agreement(report: AuditReport) -> list[str]:
    """Say whether the original is as accurate as the retrained models on what both saw, and on test examples."""
    said = []
    for field, where in _POPULATIONS.items():
        own = getattr(report.aggregate["original"], field)
        others = [getattr(report.aggregate[model.name], field) for model in report.by_role("reference")]
        if own is None or None in others:
            continue
        low, high = min(others), max(others)
        agree = low - UNEQUAL_ACCURACY <= own <= high + UNEQUAL_ACCURACY
        figures = f"On {where} it is right in {own:.1%}, the retrained models in {low:.1%} to {high:.1%}"
        if agree:
            said.append(f"{figures}: they agree.")
        else:
            said.append(
                f"{figures}: they do not agree, so they were not trained in the same way, and the verdicts say as much "
                "about that as about forgetting. Retrain from the same base, for as long, with the same augmentation."
            )
    return said
