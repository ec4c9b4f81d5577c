"""Copies of values with some fields changed: an audit makes hundreds of them, a calibration hundreds of thousands."""

from __future__ import annotations

from typing import Any, TypeVar

Value = TypeVar("Value")


def changed(value: Value, **changes: Any) -> Value:
    """Return a copy of a dataclass with some fields changed: `dataclasses.replace`, in a third of its time.

    The value is one of plain fields: without slots, and with nothing to do or to check when it is made.
    """
    copy = object.__new__(type(value))
    vars(copy).update(vars(value), **changes)
    return copy
