"""YAML whose every value can be found again in its file, so that an error can name the file and the line.

Numbers and booleans are read as YAML 1.2 reads them: `1e-4` is a number, and `no` is a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from unlearn_audit.errors import ConfigurationError

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
        ConfigurationError: where the file is missing, is no YAML, or has a key twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Expected a YAML file at {path}, and it cannot be read: {error}") from error
    source = parse_yaml(text, place=str(path))
    return Source({}, source.places) if source.content is None else source


def parse_yaml(text: str, *, place: str, numbered: bool = True) -> Source:
    """Parse YAML text; places are "`place`:line", or `place` alone where `numbered` is False."""

    def place_of(mark: yaml.Mark | None) -> str:
        return f"{place}:{mark.line + 1}" if numbered and mark else place

    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        places: dict[Key, str] = {(): place_of(node.start_mark if node else None)}
        return Source(_content(loader, node, (), places, place_of) if node else None, places)
    except yaml.MarkedYAMLError as error:
        where = place_of(error.problem_mark or error.context_mark)
        raise ConfigurationError(f"{where}: this is no YAML: {error.problem}") from error
    finally:
        loader.dispose()


def _content(
    loader: _Loader, node: yaml.Node, key: Key, places: dict[Key, str], place_of: Callable[[yaml.Mark], str]
) -> Any:
    """Return what a node holds, and note where each value inside it was written."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            places[(*key, index)] = place_of(item.start_mark)
        return [_content(loader, item, (*key, n), places, place_of) for n, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    content: dict[str, Any] = {}
    for name_node, item in node.value:
        name, where = str(name_node.value), place_of(name_node.start_mark)
        inner = (*key, name)
        if name in content:
            raise ConfigurationError(
                f"{where}: {dotted(inner)}: this key is here twice; it is also at {places[inner]}. Remove one."
            )
        places[inner] = where
        content[name] = _content(loader, item, inner, places, place_of)
    return content


def override(source: Source, settings: Iterable[str], *, flag: str = "--set") -> Source:
    """Return `source` with each setting "dotted.key=YAML" put in; what is on the way to a key is made.

    Values that come from a setting have "`flag` setting" as their place.

    Raises:
        ConfigurationError: where a setting has no "=", or goes through something that is no mapping.
    """
    for setting in settings:
        text_key, equals, text = setting.partition("=")
        key: Key = tuple(text_key.split("."))
        place = f"{flag} {setting}"
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
