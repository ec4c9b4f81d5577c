"""Shows plug-ins with their options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.registry import Registry

from .machine import tell


def show(name: str | None, *registries: Registry) -> None:
    """Print a table of all plug-ins of each registry; with `name`, one plug-in's whole docstring and options."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if name is None:
        tell(plugins=[_told(registry, known) for registry in registries for known in registry.names()])
        for place, registry in enumerate(registries):
            console.print(*([] if place == 0 else [""]), _overview(registry), sep="\n")
        return
    holder = _holder(name, registries)
    plugin = holder.load(name)
    tell(plugins=[_told(holder, name)])
    console.print(_documentation(plugin))
    if getattr(plugin, "scope", None) is not None:
        console.print(f"\nScope: {plugin.scope}.")
    if getattr(plugin, "search_space", None):
        console.print(f"\nsearch: default tries {_spelled(plugin.search_space)}.")
    options = _options(plugin)
    if options:
        console.print()
        console.print(_option_table(options))


def _told(registry: Registry, name: str) -> dict[str, Any]:
    plugin = registry.load(name)
    options = [dict(zip(("name", "type", "default"), option, strict=True)) for option in _options(plugin)]
    scope = getattr(plugin, "scope", None)
    told = {"name": name, "kind": registry.kind, "summary": _summary(plugin), "options": options}
    return told if scope is None else {**told, "scope": dataclasses.asdict(scope)}


def _holder(name: str, registries: Sequence[Registry]) -> Registry:
    for registry in registries:
        if name in registry.names():
            return registry
    known = [known for registry in registries for known in registry.names()]
    kinds = " or ".join(registry.kind for registry in registries)
    raise ConfigurationError(f"There is no {kinds} {name!r}.{did_you_mean(name, known)}")


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
        scope = getattr(plugin, "scope", None)
        table.add_row(
            name,
            _summary(plugin) + (f"\n{scope}" if scope is not None else "") + (f"\n({options})" if options else ""),
        )
    return table


def _option_table(options: list[tuple[str, str, str]]) -> Any:
    from rich.table import Table

    table = Table("option", "type", "default", box=None, pad_edge=False)
    for option in options:
        table.add_row(*option)
    return table


def _spelled(space: Mapping[str, Any]) -> str:
    """Write a search space as its YAML would read."""
    values = {**space, **space.get("options", {})}
    return ", ".join(f"{name}: {list(value)}" for name, value in values.items() if name != "options")


def _documentation(plugin: type) -> str:
    """Return the docstring of a plug-in and, of one that is called, what a call returns."""
    called = vars(plugin).get("__call__")
    texts = inspect.getdoc(plugin), inspect.getdoc(called) if called else None
    return "\n\n".join(text for text in texts if text)


def _summary(plugin: type) -> str:
    return _documentation(plugin).partition("\n\n")[0].replace("\n", " ")


def _options(plugin: type) -> list[tuple[str, str, str]]:
    """Return name, type and default of each option of a plug-in."""
    from unlearn_audit.experiment.checking import option_fields, type_name

    defaults = {field.name: field.default for field in dataclasses.fields(plugin)}
    written = {name: "required" if value is dataclasses.MISSING else repr(value) for name, value in defaults.items()}
    return [(name, type_name(kind), written[name]) for name, kind in option_fields(plugin).items()]
