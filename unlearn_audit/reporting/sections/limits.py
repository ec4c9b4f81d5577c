"""What this audit cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.report import COPIES
from unlearn_audit.auditing.statistics import MIN_COUNT, MIN_REFERENCES
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.sections.verdicts import retrained_models

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport

__all__ = ["limits"]

TEMPLATE = """
<ul class="plain">
  {% for limit in limits %}
  <li>{{ limit }}</li>
  {% endfor %}
</ul>
"""


def _values(shown: ShownAudit) -> dict[str, Any]:
    return {"limits": (*limits_of(shown.report), _picture_limit(shown))}


limits = Section("limits", "Limits of what was shown", order=80, template=TEMPLATE, values=_values, entry="Limits")


def limits_of(report: AuditReport) -> tuple[str, ...]:
    """Say what an audit cannot show, a sentence or two each."""
    said = [
        "The audit compares predictions. It says nothing about what can be read from a model's weights, nor about "
        "attacks that look at anything but its outputs on these examples.",
        f"It speaks of this forget set, these data and these {retrained_models(report.num_references)}. Another forget "
        "set, or another way of retraining, may give another answer.",
        "Not failing is not the same as being indistinguishable: the tables say how large a difference is detectable, "
        "and what is smaller could have stayed unseen.",
        "Measure and tolerances were fixed by the policy above; a different policy may give another verdict.",
    ]
    if report.num_references < MIN_REFERENCES:
        said.append(
            "With fewer than three retrained models their own variation cannot be told, so there is no verdict."
        )
    copies = report.provenance.configuration.get(COPIES)
    if copies:
        said.append(
            f"Of the deleted images, copies of the very same pixels stay in the data: {copies}. Whatever was trained "
            "on them, retrained models included, still knows what was to be forgotten."
        )
    small = _small_strata(report)
    if small:
        said.append(
            f"{small} of {len(report.strata)} strata hold fewer than {MIN_COUNT} retained or test examples. They are "
            "shown, and their p-values are left out of the correction over strata."
        )
    return tuple(said)


def _small_strata(report: AuditReport) -> int:
    return sum(any(s.counts.get(p, 0) < MIN_COUNT for p in ("retain", "test")) for s in report.strata)


def _picture_limit(shown: ShownAudit) -> str:
    if shown.pictures is None:
        return "No images are embedded in this file."
    if shown.choices.include_forget_images:
        return "This file embeds images of the forget set. They may be personal data: share it accordingly."
    return "Images of the forget set are not embedded in this file."
