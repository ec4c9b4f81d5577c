"""What a shell completes where an option takes a name: nothing but the names is imported."""

from __future__ import annotations

from collections.abc import Callable


def names_of(package: str) -> Callable[[str], list[str]]:
    """Return what completes the names of plug-ins of a package, for example "methods"."""

    def complete(incomplete: str) -> list[str]:
        import importlib

        known: tuple[str, ...] = importlib.import_module(f"unlearn_audit.{package}").registry.names()
        return [name for name in known if name.startswith(incomplete)]

    return complete


def one_of(*choices: str) -> Callable[[str], list[str]]:
    """Return what completes one of these words."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]
