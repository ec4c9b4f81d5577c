"""Menus, and the tables that follow what is chosen in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from unlearn_audit.reporting.tables import Table


@dataclasses.dataclass(frozen=True)
class Option:
    """One choice of a menu."""

    value: str
    title: str


def options(values: Iterable[str]) -> tuple[Option, ...]:
    """Return choices whose titles are their values."""
    return tuple(Option(value, value) for value in values)


def follows(measure: str, population: str) -> dict[str, str]:
    """Return the HTML attributes of a table that is shown while this measure and population are chosen."""
    return {"data-table": "follows", "data-measure": measure, "data-population": population}


def first_shown(tables: Iterable[Table], **chosen: str) -> tuple[Table, ...]:
    """Hide, until they are chosen, all tables but those whose attributes `data-NAME` are as in `chosen`."""

    def shown(table: Table) -> bool:
        return all(table.attributes[f"data-{name.replace('_', '-')}"] == value for name, value in chosen.items())

    return tuple(table if shown(table) else _hidden(table) for table in tables)


def _hidden(table: Table) -> Table:
    return dataclasses.replace(table, attributes={**table.attributes, "hidden": "hidden"})
