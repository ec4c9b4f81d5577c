"""The deleted examples that each model remembers most. Only where the forget set may be named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.auditing.policy import FirstPolicy
from unlearn_audit.auditing.summary import worst_first
from unlearn_audit.reporting.charting import model_title
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import MINUS, NOTHING, percent

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import ModelRecord
    from unlearn_audit.reporting.ledger import Ledger

__all__ = ["remembered"]

TEMPLATE = """
<p class="lead">Deleted examples whose label the model knows better than the retrained models do: its confidence in the
label minus the mean of theirs, in points, greatest first.{% if ratios %} The likelihood ratio says how many times
likelier its margin is around the original's than around the retrained models': at least 10, at one deleted example in
ten of a retrained model at most.{% endif %} This list names forgotten examples: share it accordingly.</p>
{% for model in models %}
<details{% if loop.first or not interactive %} open{% endif %}>
  <summary>{{ model.title }}: {{ model.counted }}</summary>
  {% if model.examples %}
  <div class="scroll"><table>
    <thead><tr>
      {% if model.pictures %}<th scope="col" class="text">picture</th>{% endif %}
      <th scope="col" class="text">example</th><th scope="col" class="text">class</th>
      <th scope="col" class="text">predicts</th><th scope="col">confidence</th><th scope="col">original</th>
      <th scope="col">retrained</th><th scope="col">remembered</th>
      {% if ratios %}<th scope="col">likelihood ratio</th>{% endif %}
    </tr></thead>
    <tbody>
    {% for example in model.examples %}
    <tr>
      {% if model.pictures %}
      <td class="text">{% if example.image %}<img class="thumb" src="{{ example.image }}" alt="">{% endif %}</td>
      {% endif %}
      <th scope="row" class="text"><span class="id">{{ example.id }}</span></th>
      <td class="text">{{ example.label }}</td><td class="text">{{ example.predicts }}</td>
      <td>{{ example.confidence }}</td><td>{{ example.original }}</td>
      <td>{{ example.expected }}</td><td>{{ example.remembered }}</td>
      {% if ratios %}<td>{{ example.ratio }}</td>{% endif %}
    </tr>
    {% endfor %}
    </tbody>
  </table></div>
  {% endif %}
</details>
{% endfor %}
"""
MOST_EXAMPLES = 10  # of each model
LIKELY = 1  # log10 of the likelihood ratio from which an example is counted: ten times likelier seen than not
MOST_RATIO = 6  # log10; more is not told


@dataclass(frozen=True)
class Example:
    """One deleted example, as a model knows it, as the original did, and as retrained models do."""

    id: str
    label: str
    predicts: str
    confidence: str
    original: str
    expected: str
    remembered: str
    ratio: str
    image: str | None


@dataclass(frozen=True)
class RememberedBy:
    """The deleted examples that one model remembers most."""

    title: str
    counted: str
    examples: tuple[Example, ...]
    pictures: bool


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    ledger, policy = shown.ledger, shown.report.policy
    if ledger is None or isinstance(policy, FirstPolicy) or not shown.choices.include_forget_ids:
        return None
    models = [shown.report.model(name) for name in worst_first(shown.report)]
    known = [model for model in models if ledger.of_model(model.name, "remembered") is not None]
    found = [_remembered_by(shown, ledger, model, policy.level) for model in known]
    ratios = any(ledger.of_model(model.name, "likelihood_ratio") is not None for model in known)
    return {"models": found, "ratios": ratios} if found else None


remembered = Section(
    "remembered",
    "Examples that are remembered most",
    order=28,
    template=TEMPLATE,
    values=_values,
    entry="Remembered",
    may_break=True,
    printed=False,
)


def _remembered_by(shown: ShownAudit, ledger: Ledger, model: ModelRecord, tolerated: float) -> RememberedBy:
    known = ledger.columns[f"{model.name}.remembered"]
    total = int(np.isfinite(known).sum())
    examples = tuple(_examples(shown, ledger, model, most_remembered(known)))
    ratios = ledger.of_model(model.name, "likelihood_ratio")
    likely = "" if ratios is None else f", {int((ratios >= LIKELY).sum())} with a likelihood ratio of 10 or more"
    return RememberedBy(
        title=model_title(model),
        counted=f"{int((known > tolerated).sum())} of {total} by more than {100 * tolerated:g} points{likely}",
        examples=examples,
        pictures=any(example.image for example in examples),
    )


def most_remembered(known: np.ndarray) -> list[int]:
    """Return the rows of the examples that are remembered most, the most first.

    Args:
        known: (n,) confidence minus the retrained models' mean; NaN outside the forget set.
    """
    ranked = np.where(np.isfinite(known), known, -np.inf)
    return [int(row) for row in np.argsort(-ranked, kind="stable")[:MOST_EXAMPLES] if ranked[row] > 0]


def _examples(shown: ShownAudit, ledger: Ledger, model: ModelRecord, rows: Iterable[int]) -> Iterable[Example]:
    names = shown.report.data.class_names
    top, confidence = ledger.of_model(model.name, "top1"), ledger.of_model(model.name, "confidence")
    original, known = ledger.of_model("original", "confidence"), ledger.columns[f"{model.name}.remembered"]
    ratios = ledger.of_model(model.name, "likelihood_ratio")
    for row in rows:
        mine = None if confidence is None else float(confidence[row])
        yield Example(
            id=str(ledger["example_id"][row]),
            label=names[int(ledger["label"][row])],
            predicts=NOTHING if top is None else names[int(top[row])],
            confidence=percent(mine),
            original=percent(None if original is None else float(original[row])),
            expected=percent(None if mine is None else mine - float(known[row])),
            remembered=f"{100 * known[row]:+.1f}".replace("-", MINUS),
            ratio=NOTHING if ratios is None else likelihood_ratio(float(ratios[row])),
            image=_picture(shown, str(ledger["example_id"][row])),
        )


def likelihood_ratio(log: float) -> str:
    """Write a likelihood ratio, given as log10."""
    if abs(log) > MOST_RATIO:
        return f"> 10^{MOST_RATIO}" if log > 0 else f"< 10^{MINUS}{MOST_RATIO}"
    return f"{10**log:,.0f}" if log >= 1 else f"{10**log:.2g}"


def _picture(shown: ShownAudit, example_id: str) -> str | None:
    if shown.pictures is None or not shown.choices.include_forget_images:
        return None
    return shown.pictures.address(example_id)
