"""Shows the plug-ins of a registry with their options."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from unlearn_audit.registry import Registry


def show(registry: Registry, name: str | None) -> None:
    """Print a table of all plug-ins; with `name`, one plug-in's whole docstring and options."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if name is None:
        console.print(_overview(registry))
        return
    plugin = registry.load(name)
    console.print(_documentation(plugin))
    options = _options(plugin)
    if options:
        console.print()
        console.print(_option_table(options))


def show_options(kind: type) -> None:
    """Print a dataclass of settings: its docstring and its options."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print()
    console.print(_documentation(kind))
    console.print()
    console.print(_option_table(_options(kind)))


def _overview(registry: Registry) -> Any:
    from rich.table import Table

    table = Table(registry.kind, "what it does", box=None, pad_edge=False)
    for name in registry.names():
        plugin = registry.load(name)
        options = ", ".join(f"{option}={default}" for option, _, default in _options(plugin))
        table.add_row(name, _summary(plugin) + (f"\n({options})" if options else ""))
    return table


def _option_table(options: list[tuple[str, str, str]]) -> Any:
    from rich.table import Table

    table = Table("option", "type", "default", box=None, pad_edge=False)
    for option in options:
        table.add_row(*option)
    return table


def _documentation(plugin: Any) -> str:
    """Return a plug-in's docstring; of a value, as measures are, that of its file and of its function."""
    if isinstance(plugin, type) or inspect.isfunction(plugin):
        return inspect.getdoc(plugin) or ""
    texts = inspect.getdoc(inspect.getmodule(plugin.function)), inspect.getdoc(plugin.function)
    return "\n\n".join(text for text in texts if text)


def _summary(plugin: Any) -> str:
    return _documentation(plugin).partition("\n\n")[0].replace("\n", " ")


def _options(plugin: Any) -> list[tuple[str, str, str]]:
    """Return name, type and default of each option of a plug-in that is a dataclass."""
    from unlearn_audit.experiment.checking import option_fields, type_name

    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin)):
        return []
    defaults = {field.name: field.default for field in dataclasses.fields(plugin)}
    return [(name, type_name(kind), repr(defaults[name])) for name, kind in option_fields(plugin).items()]
