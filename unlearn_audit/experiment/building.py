"""Builds frozen dataclasses from configuration values, and says what is wrong, where, and what was meant."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.experiment.yaml_source import Value

T = TypeVar("T")


def build(value: Value, kind: type[T], **given: Any) -> T:
    """Return `value` as a `kind`: a dataclass, or what may stand in one of its fields.

    Fields may be `bool`, `int`, `float`, `str`, `Path`, `Any`, a `Literal`, an optional or other union, a
    tuple, a mapping from strings (an entry that is `false` is left out), or another dataclass. A dataclass
    with a class method `from_value(value)` builds itself.
    `given` are fields of the dataclass that the configuration does not hold.

    Raises:
        ConfigurationError: for an unknown or missing key or a wrong value, with its place and the nearest
            right one.
    """
    if dataclasses.is_dataclass(kind):
        if hasattr(kind, "from_value"):
            return kind.from_value(value)
        return _build_dataclass(value, kind, given)
    return _build_field(value, kind)


def option_fields(kind: type) -> dict[str, Any]:
    """Return the name and resolved type of each field of a dataclass that its constructor takes."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def type_name(kind: Any) -> str:
    """Return a type as a person writes it, for example "int", "float | null" or "'any' | 'wrong'"."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is type(None):
        return "null"
    if origin is typing.Literal:
        return " | ".join(repr(choice) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments)
    if origin is not None and issubclass(origin, Mapping):
        return f"mapping to {type_name(arguments[1])}"
    if origin is not None and issubclass(origin, Sequence):
        return f"list of {type_name(arguments[0])}"
    return getattr(kind, "__name__", str(kind))


def _build_dataclass(value: Value, kind: type[T], given: Mapping[str, Any]) -> T:
    if value.content is None:
        value = dataclasses.replace(value, content={})
    if not isinstance(value.content, dict):
        raise value.error(f"expected keys and values, got {value.plain()!r}.")
    fields = {name: hint for name, hint in option_fields(kind).items() if name not in given}
    check_keys(value, fields)
    arguments = {name: build(item, fields[name]) for name, item in value.content.items()}
    _check_missing(value, kind, {**arguments, **given})
    try:
        return kind(**arguments, **given)
    except (ConfigurationError, ValueError) as error:
        raise _culprit(value, str(error)).error(str(error)) from error


def check_keys(value: Value, known: Mapping[str, Any]) -> None:
    """Raise `ConfigurationError` at the first key of a mapping that is not known."""
    for name, item in value.content.items():
        if name not in known:
            raise item.error(f"there is no such key.{did_you_mean(name, known)}")


def _check_missing(value: Value, kind: type, arguments: Mapping[str, Any]) -> None:
    unset = dataclasses.MISSING
    for field in dataclasses.fields(kind):
        needed = field.init and field.default is unset and field.default_factory is unset
        if needed and field.name not in arguments:
            raise value.error(f"the key {field.name!r} is missing.")


def _culprit(value: Value, message: str) -> Value:
    """Return the one entry of the mapping that the message names, or the mapping itself."""
    named = [item for name, item in value.content.items() if re.search(rf"\b{re.escape(name)}\b", message)]
    return named[0] if len(named) == 1 else value


def _build_field(value: Value, kind: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value.plain()
    if origin is typing.Literal:
        return _choice(value, arguments)
    if origin in (typing.Union, types.UnionType):
        return _union(value, arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(value, arguments[1])
    if origin is not None and issubclass(origin, Sequence):
        return _sequence(value, arguments[0])
    return _scalar(value, kind)


def _choice(value: Value, choices: tuple[Any, ...]) -> Any:
    if value.content not in choices:
        hint = did_you_mean(str(value.content), map(str, choices))
        raise value.error(f"expected one of {', '.join(map(repr, choices))}, got {value.plain()!r}.{hint}")
    return value.content


def _union(value: Value, kinds: tuple[Any, ...]) -> Any:
    if value.content is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    fitting = [kind for kind in kinds if kind is type(value.content)]
    if len(kinds) == 1 or fitting:
        return build(value, (fitting or kinds)[0])
    for kind in kinds:
        try:
            return build(value, kind)
        except ConfigurationError:
            continue
    raise value.error(f"expected {' | '.join(map(type_name, kinds))}, got {value.plain()!r}.")


def _mapping(value: Value, kind: Any) -> dict[str, Any]:
    if not isinstance(value.content, dict):
        raise value.error(f"expected keys and values, got {value.plain()!r}.")
    return {name: build(item, kind) for name, item in value.content.items() if item.content is not False}


def _sequence(value: Value, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value.content, tuple):
        raise value.error(f"expected a list, for example [a, b], got {value.plain()!r}.")
    return tuple(build(item, kind) for item in value.content)


def _scalar(value: Value, kind: type) -> Any:
    content = value.content
    if kind is float and type(content) is int:
        return float(content)
    if kind is Path and type(content) is str:
        return Path(content)
    if type(content) is not kind:
        raise value.error(f"expected {_A_NAME.get(kind, type_name(kind))}, got {value.plain()!r}.")
    return content


_A_NAME = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
