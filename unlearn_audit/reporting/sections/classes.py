"""Which classes suffer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.reporting import plots
from unlearn_audit.reporting.sections._figure import figure
from unlearn_audit.reporting.sections._menu import first_shown, options
from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import Table, number, table, whole

if TYPE_CHECKING:
    from unlearn_audit.reporting.charts import ClassDamage

__all__ = ["classes"]

TEMPLATE = """
<p class="lead">Mean excess over the examples of each class, worst first; those that lost examples are marked.</p>
<figure data-chart="classes">
  {% if interactive %}
  <div class="controls">{{ choose("class-population", "Population", populations, population) }}</div>
  <ul class="legend" aria-label="Models"></ul>
  {% endif %}
  {{ canvas(figure, interactive) }}
  {{ figures_behind(tables, interactive) }}
</figure>
"""


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    if not shown.damage:
        return None
    charts = shown.charts
    population = next(iter(shown.damage))
    worst = [entry.name for entry in charts.classes[population].classes]
    tables = (class_table(found, p, charts.primary.title) for p, found in shown.damage.items())
    return {
        "figure": figure(
            f"Mean excess by class. The classes that suffer most: {', '.join(worst[:3])}.",
            plots.Drawing(plots.draw_classes, (charts, population)),
            height=1.4 + 0.22 * len(worst),
        ),
        "populations": options(shown.damage),
        "population": population,
        "tables": first_shown(tables, class_table=population),
    }


classes = Section(
    "classes",
    "Which classes suffer",
    order=40,
    template=TEMPLATE,
    values=_values,
    entry="Classes",
    may_break=True,
    printed=False,
)


def class_table(damage: ClassDamage, population: str, measure: str) -> Table:
    """Return the table behind the class chart, with all classes."""
    rows = [
        [
            f"{entry.name} (forgotten)" if entry.forgotten else entry.name,
            whole(entry.count),
            *(number(values[i]) for values in damage.lines.values()),
        ]
        for i, entry in enumerate(damage.classes)
    ]
    caption = f"Mean excess by class, {measure}, {population} set"
    models = (name.replace("_", " ") for name in damage.lines)
    return table(caption, ("class", "examples", *models), rows, **{"data-class-table": population})
