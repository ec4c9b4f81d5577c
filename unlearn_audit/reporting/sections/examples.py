"""The examples that suffer most, with their pictures where these may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.reporting.charting import model_title, stratum_title
from unlearn_audit.reporting.damage import DAMAGED_POPULATIONS
from unlearn_audit.reporting.sections._menu import Option
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import MINUS, NOTHING, number, percent

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.reporting.ledger import Ledger

__all__ = ["examples"]

TEMPLATE = """
<div data-gallery>
<p class="lead">{{ note }}</p>
{% if interactive %}
<div class="controls">
  {{ choose("stratum", "Stratum", strata, "") }}
  {{ choose("class", "Class", classes, "") }}
  <span data-count aria-live="polite"></span>
</div>
{% endif %}
<ul class="gallery">
  {% for example in examples %}
  <li data-example="{{ example.id }}" data-stratum="{{ example.stratum }}" data-label="{{ example.label }}">
    {% if example.image or example.nearest_image %}
    <div class="pictures">
      {% if example.image %}{{ picture(example.image, example.text, "") }}{% endif %}
      {% if example.nearest_image %}
      {{ picture(example.nearest_image, "Nearest forgotten example", "forgotten") }}
      {% endif %}
    </div>
    {% endif %}
    <h3>{{ example.label_name }}</h3>
    <span class="id">{{ example.id }}</span>
    <div class="soft">{{ example.place }}</div>
    {% if example.nearest %}
    <div class="soft">nearest forgotten: <span class="id">{{ example.nearest }}</span></div>
    {% endif %}
    <table>
      <thead><tr>
        <th scope="col">model</th><th scope="col" class="text">predicts</th>
        <th scope="col" title="probability of the true class">true</th><th scope="col">excess</th>
      </tr></thead>
      <tbody>
      {% for prediction in example.predictions %}
      <tr>
        <th scope="row">{{ prediction.model }}</th>
        <td class="text{% if prediction.wrong %} over{% endif %}">{{ prediction.predicts }}</td>
        <td>{{ prediction.confidence }}</td><td>{{ prediction.excess }}</td>
      </tr>
      {% endfor %}
      </tbody>
    </table>
  </li>
  {% endfor %}
</ul>
</div>
"""
MOST_EXAMPLES = 24  # of all models together


@dataclass(frozen=True)
class Prediction:
    """What one model predicts for one example."""

    model: str
    predicts: str
    wrong: bool
    confidence: str
    excess: str


@dataclass(frozen=True)
class Example:
    """One example of the gallery; pictures and the nearest forgotten id only where they may be shown."""

    id: str
    stratum: int
    label: int
    label_name: str
    text: str
    place: str
    image: str | None
    nearest: str
    nearest_image: str | None
    predictions: tuple[Prediction, ...]


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    if shown.ledger is None:
        return None
    report, ledger = shown.report, shown.ledger
    found = [_example(shown, ledger, row) for row in worst_rows(report, ledger)]
    if not found:
        return None
    return {
        "note": _note(shown),
        "examples": found,
        "strata": _menu({e.stratum: stratum_title(report.strata[e.stratum]) for e in found}),
        "classes": _menu({e.label: e.label_name for e in found}),
    }


examples = Section(
    "examples",
    "Examples that suffer most",
    order=30,
    template=TEMPLATE,
    values=_values,
    entry="Examples",
    may_break=True,
    printed=False,
)


def _menu(titles: Mapping[int, str]) -> tuple[Option, ...]:
    return (Option("", "all"), *(Option(str(value), titles[value]) for value in sorted(titles)))


def _note(shown: ShownAudit) -> str:
    note = "Retained and test examples with the greatest excess under each unlearned model, greatest first. "
    if shown.pictures is None:
        return note + "No images are embedded in this file."
    if shown.choices.include_forget_images:
        return note + "Beside each stands the forgotten example that lies nearest."
    return note + "Images of the forget set are not embedded; only retained and test examples are shown."


def worst_rows(report: AuditReport, ledger: Ledger) -> list[int]:
    """Return the rows of the retained and test examples with the greatest excess under any candidate, worst first."""
    shown = np.isin(ledger["population"], DAMAGED_POPULATIONS)
    worst: dict[int, float] = {}
    candidates = report.by_role("candidate")
    share = max(2, MOST_EXAMPLES // len(candidates))
    for model in candidates:
        excess = ledger.of_model(model.name, "excess")
        if excess is None:
            continue
        ranked = np.where(shown & np.isfinite(excess), excess, -np.inf)
        for row in np.argsort(-ranked, kind="stable")[:share]:
            if ranked[row] > 0:
                worst[int(row)] = max(worst.get(int(row), -np.inf), float(ranked[row]))
    return sorted(worst, key=lambda row: -worst[row])


def _example(shown: ShownAudit, ledger: Ledger, row: int) -> Example:
    example_id = str(ledger["example_id"][row])
    label = int(ledger["label"][row])
    name = shown.report.data.class_names[label]
    stratum = int(ledger["stratum"][row])
    nearest = _nearest(ledger, row)
    return Example(
        id=example_id,
        stratum=stratum,
        label=label,
        label_name=name,
        text=f"{name}, example {example_id}",
        place=_place(shown.report, ledger, row, stratum),
        image=_picture(shown, example_id),
        nearest=nearest if shown.choices.include_forget_ids else "",
        nearest_image=_picture(shown, nearest) if shown.choices.include_forget_images else None,
        predictions=tuple(_predictions(shown.report, ledger, row, label)),
    )


def _picture(shown: ShownAudit, example_id: str) -> str | None:
    return None if shown.pictures is None else shown.pictures.address(example_id)


def _nearest(ledger: Ledger, row: int) -> str:
    column = ledger.columns.get("nearest_forget_id")
    return "" if column is None or column[row] is None else str(column[row])


def _place(report: AuditReport, ledger: Ledger, row: int, stratum: int) -> str:
    title = stratum_title(report.strata[stratum])
    place = f"{ledger['population'][row]} set, stratum {title}"
    if "proximity" not in ledger.columns:  # as in a published ledger
        return place
    return f"{place}, proximity {number(float(ledger['proximity'][row]))}"


def _predictions(report: AuditReport, ledger: Ledger, row: int, label: int) -> Iterable[Prediction]:
    for model in [*report.by_role("candidate", "original"), *report.by_role("reference")[:1]]:
        top = ledger.of_model(model.name, "top1")
        if top is None:
            continue
        predicted = int(top[row])
        confidence = ledger.of_model(model.name, "confidence")
        excess = ledger.of_model(model.name, "excess")
        yield Prediction(
            model=model_title(model),
            predicts=report.data.class_names[predicted],
            wrong=predicted != label,
            confidence=percent(None if confidence is None else float(confidence[row]), 0),
            excess=NOTHING if excess is None else f"{excess[row]:.3f}".replace("-", MINUS),
        )
