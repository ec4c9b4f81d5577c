"""Finds plug-ins by name: one file is one plug-in, and the file's name is the plug-in's name everywhere.

A plug-in module exports exactly one name in `__all__`: a dataclass whose fields are the plug-in's options. Nothing is
imported until it is asked for, so that listing names costs no import of torch. Other distributions add plug-ins through
an entry point in the group of the package's name (for example `unlearn_audit.methods`), whose name is the plug-in's
name.

A name can state options as a call does: `knn(k=20)` is the plug-in `knn` with its option `k` set to 20.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar

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

    def refresh(self) -> None:
        """Look again for what other distributions add: after an installation in a process that is running."""
        importlib.invalidate_caches()
        self.__dict__.pop("_entry_points", None)

    def names(self) -> tuple[str, ...]:
        """Return the sorted names of all plug-ins, without importing any."""
        return tuple(sorted({*self._modules, *self._entry_points}))

    def load(self, name: str) -> Any:
        """Return the plug-in called `name`, most often a class; an unknown name raises `ConfigurationError`."""
        if name in self._modules:
            module = importlib.import_module(f"{self.package}.{name}")
            (exported,) = module.__all__
            return getattr(module, exported)
        if name in self._entry_points:
            return self._entry_points[name].load()
        raise ConfigurationError(f"There is no {self.kind} {name!r}.{did_you_mean(name, self.names())}")

    def exported(self, name: str) -> Any:
        """Return the plug-in class called `name`, so that `from unlearn_audit.methods import RandomLabels` finds it.

        Raises:
            AttributeError: where no plug-in of the package itself is called so.
        """
        likely = name.lower()
        for module in sorted(self._modules, key=lambda module: module.replace("_", "") != likely):
            found = importlib.import_module(f"{self.package}.{module}")
            if name in found.__all__:
                return getattr(found, name)
        raise AttributeError(f"module {self.package!r} has no attribute {name!r}")

    def create(self, spelled: str, **offered: Any) -> Any:
        """Return a plug-in with its options.

        Args:
            spelled: a name, or a name with options, for example "knn(k=20)".
            offered: options for plug-ins that have them; those that the name states come first.

        Raises:
            ConfigurationError: for an unknown name or option, or one that is missing.
        """
        name, stated = self._parsed(spelled)
        kind = self.load(name)
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
        for option in stated:
            if option not in fields:
                hint = did_you_mean(option, fields)
                raise ConfigurationError(f"The {self.kind} {name!r} has no option {option!r}.{hint}")
        options = {option: value for option, value in offered.items() if option in fields} | stated
        for option, field in fields.items():
            if option not in options and _default(field) is dataclasses.MISSING:
                raise ConfigurationError(f"The {self.kind} {name!r} needs the option {option!r}, and got none.")
        return kind(**options)

    def spelling(self, plugin: Any) -> str:
        """Return the name that `create` makes an equal plug-in from: with the options that differ from the defaults."""
        options = {field.name: (getattr(plugin, field.name), _default(field)) for field in dataclasses.fields(plugin)}
        stated = [f"{option}={value!r}" for option, (value, default) in options.items() if value != default]
        return self._name_of(type(plugin)) + (f"({', '.join(stated)})" if stated else "")

    def _name_of(self, kind: type) -> str:
        package, _, file = kind.__module__.rpartition(".")
        if package == self.package:
            return file
        return next((name for name, point in self._entry_points.items() if point.load() is kind), kind.__name__)

    def _parsed(self, spelled: str) -> tuple[str, dict[str, Any]]:
        name, bracket, rest = spelled.strip().partition("(")
        if not bracket:
            return name, {}
        try:
            call = ast.parse(f"_({rest}", mode="eval").body
            if isinstance(call, ast.Call) and not call.args and all(keyword.arg for keyword in call.keywords):
                return name.strip(), {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        except (SyntaxError, ValueError):
            pass  # said below, with the other ways to be wrong
        raise ConfigurationError(
            f"Expected a {self.kind} as `name` or `name(option=value, ...)` with plain values, got {spelled!r}."
        )


class Plugin:
    """What all plug-ins have in common: a name, which is that of their file or entry point."""

    registry: ClassVar[Registry]

    @property
    def name(self) -> str:
        """The name, with the options that differ from the defaults, for example "knn(k=20)"."""
        return self.registry.spelling(self)


def check_count(option: str, value: object) -> None:
    """Raise `ConfigurationError` unless the value of an option is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{option}: expected a whole number of at least 1, got {value!r}.")


def _default(field: dataclasses.Field[Any]) -> Any:
    """Return a field's default, or `dataclasses.MISSING`."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
