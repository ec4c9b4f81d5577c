"""Models of known nature, and whether this audit sees them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unlearn_audit.reporting.sections._section import Section, ShownAudit
from unlearn_audit.reporting.tables import Cell, Table, table

if TYPE_CHECKING:
    from unlearn_audit.auditing.controls import Controls

__all__ = ["controls"]

TEMPLATE = """
<p class="lead">An audit can only be believed when models whose answer is known get that answer.</p>
<div class="scroll">{{ cells(table) }}</div>
"""


def _values(shown: ShownAudit) -> dict[str, Any] | None:
    found = shown.report.controls
    return None if found is None else {"table": controls_table(found)}


controls = Section("controls", "Controls", order=60, template=TEMPLATE, values=_values)


def controls_table(found: Controls) -> Table:
    """Return what each control should get, what it got, and why."""
    rows: list[list[Cell | str]] = [
        [
            row.name,
            Cell(row.expected, "text"),
            Cell(row.observed, "text" if row.behaves else "text over"),
            Cell(row.reason, "wrap"),
        ]
        for row in found.rows
    ]
    return table("Models of known nature, put through this audit", ("control", "expected", "found", "why"), rows)
