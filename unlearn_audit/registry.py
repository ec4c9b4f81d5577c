"""Finds plug-ins by name: one file is one plug-in, and the file's name is the plug-in's name everywhere.

A plug-in module exports exactly one name in `__all__`: that object is the plug-in. Nothing is imported until it is
asked for, so that listing names costs no import of torch. Other distributions add plug-ins through an entry point in
the group of the package's name (for example `unlearn_audit.methods`), whose name is the plug-in's name.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from unlearn_audit.errors import ConfigurationError, did_you_mean


@dataclass(frozen=True)
class Registry:
    """The plug-ins of one package, for example `Registry("unlearn_audit.measures", "measure")`.

    Modules named in `helpers`, and modules whose name begins with an underscore, are no plug-ins.
    """

    package: str
    kind: str
    helpers: frozenset[str] = frozenset()

    @cached_property
    def _modules(self) -> tuple[str, ...]:
        path = importlib.import_module(self.package).__path__
        names = (module.name for module in pkgutil.iter_modules(path))
        return tuple(n for n in names if not n.startswith("_") and n not in self.helpers)

    @cached_property
    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.package)}

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of all plug-ins, without importing any."""
        return tuple(sorted({*self._modules, *self._entry_points}))

    def load(self, name: str) -> Any:
        """Return the plug-in called `name`; an unknown name raises `ConfigurationError` with the nearest one."""
        if name in self._modules:
            module = importlib.import_module(f"{self.package}.{name}")
            (exported,) = module.__all__
            return getattr(module, exported)
        if name in self._entry_points:
            return self._entry_points[name].load()
        raise ConfigurationError(f"There is no {self.kind} {name!r}.{did_you_mean(name, self.names())}")
