"""Builds the dataclasses of a configuration with pydantic, and says what is wrong, where, and what was meant."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.experiment.yaml_source import Key, Source, dotted

T = TypeVar("T")

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "path_type": "a path",
    "tuple_type": "a list, for example [a, b]",
    "dict_type": "keys and values",
    "mapping_type": "keys and values",
    "dataclass_type": "keys and values",
}


_LONGEST = 200  # characters of a wrong value in an error
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def build(source: Source, kind: type[T]) -> T:
    """Return the content of `source` as a `kind`, a dataclass.

    Raises:
        ConfigurationError: for unknown and missing keys and wrong values: all of them, one a line, each with its place,
            what was expected, what came and the nearest right one.
    """
    try:
        return validated(source.content, kind)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_problems(error, source, kind))) from error


def validated(content: Any, kind: type[T]) -> T:
    """Return plain values as a `kind`; no value is converted, except a whole number where any number may stand.

    Raises:
        pydantic.ValidationError: for unknown and missing keys and wrong values.
    """
    # As JSON, since in its strict mode pydantic takes lists for tuples and mappings for dataclasses from there alone.
    adapter: TypeAdapter[T] = TypeAdapter(_inside_another(kind), config=ConfigDict(extra="forbid"))
    return adapter.validate_json(json.dumps(content), strict=True)


def _inside_another(kind: Any) -> Any:
    """Return an optional type: pydantic takes no configuration for a dataclass by itself."""
    return kind | None


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


def _problems(error: ValidationError, source: Source, kind: type) -> list[str]:
    """Return one line for each key that is wrong, in the order in which they were written."""
    by_key: dict[Key, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_key.setdefault(_key_of(detail, source), []).append(detail)
    written = list(source.places)
    return [
        _line(source.places[key], dotted(key), message)
        for key in sorted(by_key, key=written.index)
        for message in _messages(by_key[key], source, kind)
    ]


def _line(place: str, key: str, message: str) -> str:
    return f"{place}: {message}" if not key or message.startswith(f"{key}: ") else f"{place}: {key}: {message}"


def _key_of(detail: ErrorDetails, source: Source) -> Key:
    """Return the key that an error is about; that of a dataclass's own check is the one entry that it names."""
    key = detail["loc"]
    if detail["type"] == "value_error":
        content, message = _at(source.content, key), str(detail["ctx"]["error"])
        named = [name for name in content or () if re.search(rf"\b{re.escape(name)}\b", message)]
        key = (*key, named[0]) if len(named) == 1 else key
    return source.written(key)


def _at(content: Any, key: Key) -> Any:
    for part in key:
        content = content[part]
    return content


def _messages(details: list[ErrorDetails], source: Source, kind: type) -> list[str]:
    """Return what is wrong with one key; where it may be of several types, no one of which fits, that is one error."""
    own = [message for detail in details if (message := _own_message(detail, source, kind))]
    if own:
        return own
    expected = " or ".join(dict.fromkeys(_expected(detail) for detail in details))
    got = details[0]["input"]
    choices = re.findall(r"'([^']*)'", expected)
    hint = did_you_mean(got, choices) if isinstance(got, str) and len(choices) > 1 else ""
    return [f"expected {expected}, got {_briefly(got)}.{hint}"]


def _briefly(got: Any) -> str:
    text = repr(got)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _own_message(detail: ErrorDetails, source: Source, kind: type) -> str | None:
    key = detail["loc"]
    if detail["type"] == "missing":
        return f"the key {key[-1]!r} is missing."
    if detail["type"] == "unexpected_keyword_argument":
        known = option_fields(_type_at(kind, key[:-1], source.content))
        return f"there is no such key.{did_you_mean(str(key[-1]), known)}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return None


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"])
    if detail["type"] in _BOUNDS:
        words, bound = _BOUNDS[detail["type"]]
        return f"{words} {detail['ctx'][bound]:,}"
    return _EXPECTED.get(detail["type"], detail["msg"])


def _type_at(kind: Any, key: Key, content: Any) -> type:
    """Return the dataclass whose fields are the keys under `key`; a plug-in's options depend on the content."""
    if hasattr(kind, "entry_type"):
        kind = kind.entry_type(content)
    if not key:
        return kind
    return _type_at(_structure(_inside(kind, key[0])), key[1:], content[key[0]])


def _inside(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return option_fields(kind)[str(part)]
    items, *_, values = typing.get_args(kind)
    return items if isinstance(part, int) else values


def _structure(kind: Any) -> Any:
    """Return the type with keys or items of a union."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    return next((k for k in typing.get_args(kind) if dataclasses.is_dataclass(k) or typing.get_origin(k)), kind)
