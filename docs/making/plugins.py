"""Lists of plug-ins for the reference: `<!-- plug-ins: methods -->` on a page becomes the list of all methods."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from unlearn_audit.measures import registry as measures
from unlearn_audit.methods import registry as methods
from unlearn_audit.proximities import registry as neighbourhoods
from unlearn_audit.registry import Registry

_MARK = re.compile(r"^<!-- plug-ins: (\w+) -->$", re.MULTILINE)


def expanded(markdown: str) -> str:
    """Return the page with every mark replaced by its list."""
    return _MARK.sub(lambda match: LISTS[match.group(1)](), markdown)


def shipped(registry: Registry) -> Iterator[tuple[str, Any]]:
    """Yield name and object of every plug-in of this package, leaving out those of other distributions."""
    for name in registry.names():
        plugin = registry.load(name)
        if _module(plugin).startswith("unlearn_audit."):
            yield name, plugin


def method_list() -> str:
    """Return a section of the reference for each method."""
    return _objects(methods)


def neighbourhood_list() -> str:
    """Return a section of the reference for each proximity."""
    return _objects(neighbourhoods)


def measure_table() -> str:
    """Return a table of all measures: name, title, range, unit and formula."""
    lines = ["| name | measure | range | unit | formula |", "| --- | --- | --- | --- | --- |"]
    for name, measure in shipped(measures):
        bounds = f"{measure.low} to {'∞' if measure.high is None else measure.high}"
        formula = " ".join((inspect.getdoc(measure.function) or "").partition("\n\n")[0].split())
        lines.append(f"| `{name}` | {measure.title} | {bounds} | {measure.unit} | {formula} |")
    return "\n".join(lines)


LISTS: dict[str, Callable[[], str]] = {
    "methods": method_list,
    "measures": measure_table,
    "neighbourhoods": neighbourhood_list,
}


def _objects(registry: Registry) -> str:
    sections = (
        f"## {name}\n\n::: {plugin.__module__}.{plugin.__name__}\n    options:\n      heading_level: 3"
        for name, plugin in shipped(registry)
    )
    return "\n\n".join(sections)


def _module(plugin: Any) -> str:
    return getattr(plugin, "function", plugin).__module__
