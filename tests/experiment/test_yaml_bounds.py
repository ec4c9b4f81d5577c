"""YAML that is made to hurt ends in an error, soon; whatever is generated is read, or refused with its place."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.deadline import within
from unlearn_audit.errors import ConfigurationError, UnlearnAuditError
from unlearn_audit.experiment.config import read_audit, read_study
from unlearn_audit.experiment.yaml_source import LARGEST, parse_yaml, read_yaml

pytestmark = pytest.mark.slow

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
HURTING = {
    "billion laughs": LAUGHS,
    "recursive": "a: &a [*a]",
    "recursive mapping": "a: &a {b: *a}",
    "deep list": "a: " + "[" * 5000,
    "deep mapping": "{a: " * 5000,
    "deep block": "".join(f"{' ' * n}a{n}:\n" for n in range(500)),
    "many values": "a: [" + "1," * 50_000 + "]",
    "long text": "a: " + "x" * 100_000,
    "long number": "a: " + "9" * 10_000,
    "large number": f"a: {LARGEST + 1}",
    "infinity": "a: .inf",
    "not a number": "a: .NaN",
    "overflow": "a: 1e999",
    "no key": "? [a]\n: b",
    "python": "a: !!python/object/apply:os.system ['true']",
    "binary": "a: !!binary aGVsbG8=",
    "set": "a: !!set {b}",
    "date": "a: !!timestamp 2020-01-01",
    "twice": "a: 1\na: 2",
    "surrogate": '"\\ud800": 1',
    "escape": 'a: "\\e[31mred"',
    "nul": "a: \x00",
    "two documents": "a: 1\n---\nb: 2",
    "alias of nothing": "a: *b",
    "tab": "a:\n\t- b",
    "half": "a: {",
}


@pytest.mark.parametrize("text", HURTING.values(), ids=HURTING)
def test_yaml_that_is_made_to_hurt_is_refused_with_its_place(text) -> None:
    with within(5), pytest.raises(ConfigurationError, match=r"^s\.yaml"):
        parse_yaml(text, place="s.yaml")


def test_a_file_without_end_and_one_too_large_are_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "large.yaml").write_text("# " + "x" * (1 << 18))
    for name, why in {"pipe.yaml": "plain file", "large.yaml": "at most 262,144 bytes", ".": "folder"}.items():
        with within(5), pytest.raises(ConfigurationError, match=why):
            read_yaml(tmp_path / name)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=20
)
KEYS = st.sampled_from(
    ["policy", "level", "alpha", "measures", "neighbourhood", "k", "title", "methods", "training", "x"]
)
CONFIGURATIONS = st.dictionaries(KEYS, TREES | st.dictionaries(KEYS, TREES, max_size=3), max_size=5)


@given(tree=TREES)
def test_any_tree_is_read_as_it_was_written_or_refused(tree) -> None:
    text = yaml.safe_dump(tree)
    try:
        content = parse_yaml(text, place="s.yaml").content
    except ConfigurationError:
        return
    json.dumps(content, allow_nan=False).encode()  # whatever was read, JSON can hold


@given(text=st.text(alphabet=st.characters(), max_size=60) | st.text(alphabet="{}[]:,&*!?|>-#'\" \n\ta1.", max_size=60))
def test_any_text_is_read_or_refused(text) -> None:
    try:
        parse_yaml(text, place="s.yaml")
    except ConfigurationError as error:
        assert str(error).startswith("s.yaml")


@given(tree=CONFIGURATIONS)
def test_any_configuration_is_taken_or_refused(tmp_path_factory, tree) -> None:
    path = tmp_path_factory.getbasetemp() / "generated.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8", errors="surrogatepass")
    for read in (read_audit, read_study):
        with within(5):
            try:
                read(path)
            except UnlearnAuditError as error:
                assert str(error)
