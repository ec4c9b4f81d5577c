from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.checking import build, type_name
from unlearn_audit.experiment.yaml_source import parse_yaml


@dataclass(frozen=True)
class Inner:
    epochs: int = 3
    learning_rate: float = 0.1

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(f"Expected at least 1 epochs, got {self.epochs}.")


@dataclass(frozen=True)
class Outer:
    source: str
    inner: Inner = field(default_factory=Inner)
    size: int | None = 5
    label: int | str = 0
    target: Literal["soft", "hard"] = "soft"
    names: tuple[str, ...] = ()
    parts: Mapping[str, Inner] = field(default_factory=dict)
    folder: Path = Path()
    flag: bool = False
    free: Any = None
    first: int | tuple[int, ...] = 1


def from_text(text):
    return build(parse_yaml(text, place="s.yaml"), Outer)


def test_builds_nested_dataclasses_with_defaults():
    made = from_text(
        "source: digits\ninner: {learning_rate: 1}\nsize: null\nlabel: bus\ntarget: hard\nnames: [a, b]\n"
        "parts: {x: {epochs: 7}}\nfolder: runs\nflag: true\nfree: {k: [1]}\nfirst: [1, 2]\n"
    )
    assert made == Outer(
        source="digits",
        inner=Inner(learning_rate=1.0),
        size=None,
        label="bus",
        target="hard",
        names=("a", "b"),
        parts={"x": Inner(epochs=7)},
        folder=Path("runs"),
        flag=True,
        free={"k": [1]},
        first=(1, 2),
    )
    assert type(made.inner.learning_rate) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "source: d\ninner:\n  epoch: 3",
            r"s\.yaml:3: inner\.epoch: there is no such key. Did you mean 'epochs'\?",
        ),
        ("source: d\ninner:\n  epochs: ten", r"s\.yaml:3: inner\.epochs: expected a whole number, got 'ten'"),
        ("source: d\ninner:\n  epochs: true", r"s\.yaml:3: inner\.epochs: expected a whole number, got True"),
        ("source: d\ninner:\n  epochs: 2.5", r"s\.yaml:3: inner\.epochs: expected a whole number, got 2.5"),
        ("source: d\ninner:\n  epochs: 0", r"s\.yaml:3: inner\.epochs: Expected at least 1 epochs, got 0"),
        ("source: d\ninner: 3", r"s\.yaml:2: inner: expected keys and values, got 3"),
        ("inner: {}", r"s\.yaml:1: the key 'source' is missing"),
        ("source: 3", r"s\.yaml:1: source: expected text, got 3"),
        (
            "source: d\ntarget: sofft",
            r"s\.yaml:2: target: expected 'soft' or 'hard', got 'sofft'. Did you mean 'soft'\?",
        ),
        ("source: d\nsize: [5]", r"s\.yaml:2: size: expected a whole number, got \[5\]"),
        ("source: d\nparts: {x: {epoch: 3}}", r"s\.yaml:2: parts\.x\.epoch: .*Did you mean 'epochs'\?"),
        ("source: d\nnames: [a,\n 3]", r"s\.yaml:3: names\[1\]: expected text, got 3"),
        ("source: d\nnames: a", r"s\.yaml:2: names: expected a list"),
        ("source: d\nfirst: x", r"s\.yaml:2: first: expected a whole number or a list, for example \[a, b\], got 'x'"),
    ],
)
def test_errors_name_the_place_and_what_was_expected(text, message):
    with pytest.raises(ConfigurationError, match=message):
        from_text(text)


def test_all_that_is_wrong_is_listed_at_once_in_the_order_of_the_file():
    with pytest.raises(ConfigurationError) as raised:
        from_text("names: a\ninner:\n  epochs: ten\n  learning_rat: 3\nsurce: d\n")
    assert str(raised.value).splitlines() == [
        "s.yaml:1: the key 'source' is missing.",
        "s.yaml:1: names: expected a list, for example [a, b], got 'a'.",
        "s.yaml:3: inner.epochs: expected a whole number, got 'ten'.",
        "s.yaml:4: inner.learning_rat: there is no such key. Did you mean 'learning_rate'?",
        "s.yaml:5: surce: there is no such key. Did you mean 'source'?",
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (int, "int"),
        (float | None, "float | null"),
        (Literal["a", "b"], "'a' | 'b'"),
        (tuple[str, ...], "list of str"),
    ],
)
def test_type_names_are_readable(kind, name):
    assert type_name(kind) == name
