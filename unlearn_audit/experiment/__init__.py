"""A whole study as stages: what a configuration asks for, done once, resumed where it was, on any engine."""

from importlib import import_module
from typing import Any

_HOMES = {"Study": "study", "StudyConfig": "config", "read_study": "config"}

__all__ = ["Study", "StudyConfig", "read_study"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
