"""What a section of the report is, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from unlearn_audit.reporting.charting import chart_data
from unlearn_audit.reporting.damage import class_damage, shortened
from unlearn_audit.reporting.templating import fragment

if TYPE_CHECKING:
    from markupsafe import Markup

    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.reporting.charts import ChartData, ClassDamage
    from unlearn_audit.reporting.choices import PublishChoices
    from unlearn_audit.reporting.ledger import Ledger
    from unlearn_audit.reporting.pictures import Pictures


@dataclass(frozen=True, eq=False)
class ShownAudit:
    """One audit on the page.

    Attributes:
        report: what the audit found.
        ledger: what it found for each example; None where only the report is at hand.
        pictures: of the examples; None shows none.
        choices: what may be told of the forget set.
        interactive: whether a script runs on the page; without one, menus are left out and every table is open.
    """

    report: AuditReport
    ledger: Ledger | None
    pictures: Pictures | None
    choices: PublishChoices
    interactive: bool

    @cached_property
    def damage(self) -> dict[str, ClassDamage]:
        """Damage by class for each population, all classes; empty without a ledger."""
        return {} if self.ledger is None else class_damage(self.report, self.ledger)

    @cached_property
    def charts(self) -> ChartData:
        """What the charts of this audit show."""
        return chart_data(self.report, shortened(self.damage))


@dataclass(frozen=True)
class Section:
    """One section of an audit's report: a template, and the function that gives what it is filled with.

    Attributes:
        id: its name everywhere: that of its file, and of its place on the page (`#audit-0-limits`).
        title: its heading.
        order: sections stand on the page from the least to the greatest order.
        template: jinja2 of what stands below the heading. Besides the values it has `interactive` and the macros of
            `templates/macros.html.j2`; every value is escaped.
        values: from the audit to the template's values; None leaves the section out.
        entry: its name in the table of contents; by default the title.
        at_top: stands above the table of contents, without a heading of its own.
        may_break: may be spread over several printed pages.
        printed: is on paper too; a printed report is a summary, and `pdf-ready` prints all.
    """

    id: str
    title: str
    order: int
    template: str
    values: Callable[[ShownAudit], Mapping[str, Any] | None]
    entry: str = ""
    at_top: bool = False
    may_break: bool = False
    printed: bool = True

    def render(self, shown: ShownAudit) -> Markup | None:
        """Return the section's HTML below its heading, or None where there is nothing to show."""
        values = self.values(shown)
        return None if values is None else fragment(self.template, interactive=shown.interactive, **values)
