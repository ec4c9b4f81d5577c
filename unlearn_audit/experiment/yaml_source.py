"""YAML in which every value knows its place, so that an error can name the file and the line.

Numbers and booleans are read as YAML 1.2 reads them: `1e-4` is a number, and `no` is a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import yaml

from unlearn_audit.errors import ConfigurationError

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True)
class Value:
    """One value of a configuration: a scalar, a list or a mapping of values.

    `place` says where it was written ("study.yaml:12" or "--set training.epochs"), `key` is its dotted path.
    """

    content: Scalar | tuple[Value, ...] | dict[str, Value]
    place: str
    key: str = ""

    def error(self, message: str) -> ConfigurationError:
        """Return (not raise) an error that begins with this value's place and key."""
        key = f"{self.key}: " if self.key and not message.startswith(self.key) else ""
        return ConfigurationError(f"{self.place}: {key}{message}")

    def plain(self) -> object:
        """Return the content as plain dictionaries, lists and scalars."""
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        if isinstance(self.content, tuple):
            return [value.plain() for value in self.content]
        return self.content


class _Loader(yaml.SafeLoader):
    """SafeLoader with the booleans and floats of YAML 1.2."""


_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(~|null|Null|NULL|)$")
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)


def read_yaml(path: str | Path) -> Value:
    """Read a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Raises:
        ConfigurationError: where the file is missing, is no YAML, has a key twice, or is no mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Expected a YAML file at {path}, and it cannot be read: {error}") from error
    value = parse_yaml(text, place=str(path))
    return replace(value, content={}) if value.content is None else value


def parse_yaml(text: str, *, place: str, numbered: bool = True) -> Value:
    """Parse YAML text; places are "`place`:line", or `place` alone where `numbered` is False."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return _value(loader, node, place, numbered, "") if node else Value(None, place)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{place}:{mark.line + 1}" if numbered and mark else place
        raise ConfigurationError(f"{where}: this is no YAML: {error.problem}") from error
    finally:
        loader.dispose()


def _value(loader: _Loader, node: yaml.Node, place: str, numbered: bool, key: str) -> Value:
    where = f"{place}:{node.start_mark.line + 1}" if numbered else place
    if isinstance(node, yaml.MappingNode):
        return Value(_mapping(loader, node, place, numbered, key), where, key)
    if isinstance(node, yaml.SequenceNode):
        items = (_value(loader, item, place, numbered, f"{key}[{n}]") for n, item in enumerate(node.value))
        return Value(tuple(items), where, key)
    return Value(loader.construct_object(node), where, key)


def _mapping(loader: _Loader, node: yaml.MappingNode, place: str, numbered: bool, key: str) -> dict[str, Value]:
    content: dict[str, Value] = {}
    for key_node, value_node in node.value:
        name = str(key_node.value)
        value = _value(loader, value_node, place, numbered, f"{key}.{name}" if key else name)
        value = replace(value, place=f"{place}:{key_node.start_mark.line + 1}" if numbered else place)
        if name in content:
            raise value.error(f"this key is here twice; it is also at {content[name].place}.")
        content[name] = value
    return content


def override(value: Value, settings: Iterable[str], *, flag: str = "--set") -> Value:
    """Return `value` with each setting "dotted.key=YAML" put in; what is on the way to a key is made.

    Values that come from a setting have "`flag` setting" as their place.

    Raises:
        ConfigurationError: where a setting has no "=", or goes through something that is no mapping.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key or "" in key.split("."):
            raise ConfigurationError(f"{flag} {setting}: expected key=value, for example {flag} training.epochs=5.")
        new = parse_yaml(text, place=f"{flag} {setting}", numbered=False)
        value = _put(value, key.split("."), _rekeyed(new, key), f"{flag} {setting}")
    return value


def _put(value: Value, path: list[str], new: Value, place: str) -> Value:
    if not path:
        return new
    content = {} if value.content is None else value.content
    if not isinstance(content, dict):
        raise ConfigurationError(f"{place}: {value.key} is {value.plain()!r}, it has nothing inside it to set.")
    key = f"{value.key}.{path[0]}" if value.key else path[0]
    inner = content.get(path[0], Value({}, place, key))
    return replace(value, content={**content, path[0]: _put(inner, path[1:], new, place)})


def _rekeyed(value: Value, key: str) -> Value:
    if isinstance(value.content, dict):
        inner = {name: _rekeyed(item, f"{key}.{name}") for name, item in value.content.items()}
        return replace(value, content=inner, key=key)
    if isinstance(value.content, tuple):
        items = tuple(_rekeyed(item, f"{key}[{n}]") for n, item in enumerate(value.content))
        return replace(value, content=items, key=key)
    return replace(value, key=key)
