"""Lists of plug-ins for the reference: `<!-- plug-ins: methods -->` on a page becomes the list of all methods."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from unlearn_audit.measures import registry as measures
from unlearn_audit.methods import registry as methods
from unlearn_audit.proximities import registry as proximities
from unlearn_audit.registry import Registry
from unlearn_audit.strata import registry as strata

_MARK = re.compile(r"^<!-- plug-ins: (\w+) -->$", re.MULTILINE)


def expanded(markdown: str) -> str:
    """Return the page with every mark replaced by its list."""
    return _MARK.sub(lambda match: LISTS[match.group(1)](), markdown)


def shipped(registry: Registry) -> Iterator[tuple[str, Any]]:
    """Yield name and class of every plug-in of this package, leaving out those of other distributions."""
    for name in registry.names():
        plugin = registry.load(name)
        if plugin.__module__.startswith("unlearn_audit."):
            yield name, plugin


def section_list(registry: Registry) -> str:
    """Return a section of the reference for each plug-in."""
    sections = (
        f"## {name}\n\n::: {plugin.__module__}.{plugin.__name__}\n    options:\n      heading_level: 3"
        for name, plugin in shipped(registry)
    )
    return "\n\n".join(sections)


def measure_table() -> str:
    """Return a table of all measures: name, title, range, unit and formula."""
    lines = ["| name | measure | range | unit | formula |", "| --- | --- | --- | --- | --- |"]
    for name, measure in shipped(measures):
        bounds = f"{measure.low} to {'∞' if measure.high is None else measure.high}"
        formula = " ".join((inspect.getdoc(measure.__call__) or "").partition("\n\n")[0].split())
        lines.append(f"| `{name}` | {measure.title} | {bounds} | {measure.unit} | {formula} |")
    return "\n".join(lines)


LISTS: dict[str, Callable[[], str]] = {
    "methods": partial(section_list, methods),
    "measures": measure_table,
    "proximities": partial(section_list, proximities),
    "strata": partial(section_list, strata),
}
