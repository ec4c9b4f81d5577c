"""YAML whose every value can be found again in its file, so that an error can name the file and the line.

Numbers and booleans are read as YAML 1.2 reads them: `1e-4` is a number, and `no` is a word. Size, depth, the number of
values with all aliases written out, numbers and characters have bounds, which no configuration comes near.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.files import regular

LONGEST_FILE = 1 << 18  # bytes
LONGEST_TEXT = 2000  # characters of one value
DEEPEST = 32  # levels of keys and items
MOST_VALUES = 10_000  # with every alias written out
_SHOWN = 200  # characters of a setting, in errors
LARGEST = 1 << 53  # up to here, every whole number is one of JSON's and of float64's

Key: TypeAlias = tuple[str | int, ...]  # ("methods", "rl", "training") or ("policy", "populations", 0)


@dataclass(frozen=True)
class Source:
    """A configuration as a person wrote it.

    Attributes:
        content: dictionaries with string keys, lists and scalars.
        places: where each value was written, by its key: "study.yaml:12" or "--set training.epochs=5".
    """

    content: Any
    places: Mapping[Key, str]

    def written(self, key: Key) -> Key:
        """Return the longest beginning of a key that was written down somewhere; the empty key always was."""
        return next(key[:length] for length in range(len(key), -1, -1) if key[:length] in self.places)


def dotted(key: Key) -> str:
    """Return a key as a person writes it, for example "policy.populations[0]"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


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


def read_yaml(path: str | Path) -> Source:
    """Read a YAML file; an empty file is an empty mapping.

    Raises:
        ConfigurationError: where the file is missing, is no YAML, has a key twice, or goes beyond the bounds.
    """
    path = Path(path)
    try:
        text = regular(path, LONGEST_FILE).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Expected a YAML file at {path}, and it cannot be read: {error}") from error
    source = parse_yaml(text, place=str(path))
    return Source({}, source.places) if source.content is None else source


def parse_yaml(text: str, *, place: str, numbered: bool = True) -> Source:
    """Parse YAML text; places are "`place`:line", or `place` alone where `numbered` is False."""

    def place_of(mark: yaml.Mark | None) -> str:
        return f"{place}:{mark.line + 1}" if numbered and mark else place

    try:
        _check_shape(text, place_of)
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        raise ConfigurationError(f"{place}: this is no YAML: {error.reason} (character {error.position}).") from error
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(error, place_of) from error
    try:
        node = loader.get_single_node()
        places: dict[Key, str] = {(): place_of(node.start_mark if node else None)}
        return Source(_content(loader, node, (), places, place_of) if node else None, places)
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(error, place_of) from error
    finally:
        loader.dispose()


def _no_yaml(error: yaml.MarkedYAMLError, place_of: Callable[[yaml.Mark | None], str]) -> ConfigurationError:
    where = place_of(error.problem_mark or error.context_mark)
    return ConfigurationError(f"{where}: this is no YAML: {error.problem}")


def _check_shape(text: str, place_of: Callable[[yaml.Mark | None], str]) -> None:
    """Refuse what is nested too deeply or too long before it is composed, which takes a call for each level."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        where = place_of(cast("yaml.Mark", event.start_mark))
        tag = getattr(event, "tag", None)
        if number > 2 * MOST_VALUES:
            raise ConfigurationError(f"{where}: expected at most {MOST_VALUES:,} values, got more.")
        if tag is not None:
            raise ConfigurationError(f"{where}: expected plain values, got one with the tag {tag!r}. Remove it.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ConfigurationError(f"{where}: expected at most {DEEPEST} levels, got more.")


def _content(
    loader: _Loader, node: yaml.Node, key: Key, places: dict[Key, str], place_of: Callable[[yaml.Mark], str]
) -> Any:
    """Return what a node holds, and note where each value inside it was written."""
    if len(places) > MOST_VALUES or len(key) > DEEPEST:
        raise ConfigurationError(
            f"{places[()]}: expected at most {MOST_VALUES} values on {DEEPEST} levels, got more: with every alias "
            "(*name) written out."
        )
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            places[(*key, index)] = place_of(item.start_mark)
        return [_content(loader, item, (*key, n), places, place_of) for n, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node, place_of)
    content: dict[str, Any] = {}
    for name_node, item in node.value:
        where = place_of(name_node.start_mark)
        if not isinstance(name_node, yaml.ScalarNode):
            raise ConfigurationError(f"{where}: expected a word for a key, got keys and values or a list.")
        name = str(_scalar(loader, name_node, place_of)) if name_node.tag.endswith(":str") else name_node.value
        inner = (*key, name)
        if name in content:
            raise ConfigurationError(
                f"{where}: {dotted(inner)}: this key is here twice; it is also at {places[inner]}. Remove one."
            )
        places[inner] = where
        content[name] = _content(loader, item, inner, places, place_of)
    return content


def _scalar(loader: _Loader, node: yaml.Node, place_of: Callable[[yaml.Mark], str]) -> Any:
    """Return a value that JSON, a file's name and a table can hold too."""
    try:
        value = loader.construct_object(node)
    except ValueError as error:  # Python reads no number of thousands of digits
        raise ConfigurationError(f"{place_of(node.start_mark)}: this is no number: {error}.") from error
    wrong = ""
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= LARGEST):
        wrong = f"a finite number of at most {LARGEST:,}"
    elif isinstance(value, str) and len(value) > LONGEST_TEXT:
        wrong = f"at most {LONGEST_TEXT} characters"
    elif isinstance(value, str) and not all(char.isprintable() or char in "\n\t" for char in value):
        wrong = "text that can be printed"
    if wrong:
        raise ConfigurationError(f"{place_of(node.start_mark)}: expected {wrong}, got {str(value)[:40]!r}.")
    return value


def override(source: Source, settings: Iterable[str], *, flag: str = "--set") -> Source:
    """Return `source` with each setting "dotted.key=YAML" put in; what is on the way to a key is made.

    Values that come from a setting have "`flag` setting" as their place.

    Raises:
        ConfigurationError: where a setting has no "=", or goes through something that is no mapping.
    """
    for setting in settings:
        text_key, equals, text = setting.partition("=")
        key: Key = tuple(text_key.split("."))
        place = f"{flag} {setting if len(setting) <= _SHOWN else setting[:_SHOWN] + '…'}"
        if not equals or "" in key:
            raise ConfigurationError(f"{place}: expected key=value, for example {flag} training.epochs=5.")
        new = parse_yaml(text, place=place, numbered=False)
        kept = {old: where for old, where in source.places.items() if old[: len(key)] != key}
        way = {key[:length]: place for length in range(len(key))}
        moved = {(*key, *inner): where for inner, where in new.places.items()}
        source = Source(_put(source.content, key, new.content, place), {**way, **kept, **moved})
    return source


def _put(content: Any, key: Key, new: Any, place: str, done: Key = ()) -> Any:
    if not key:
        return new
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ConfigurationError(f"{place}: {dotted(done)} is {content!r}, it has nothing inside it to set.")
    name, *rest = key
    return {**content, name: _put(content.get(name), tuple(rest), new, place, (*done, name))}
