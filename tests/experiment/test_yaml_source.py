import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.yaml_source import dotted, override, parse_yaml, read_yaml


def test_every_value_knows_its_file_line_and_key():
    value = parse_yaml("a: 1\nb:\n  c: [2,\n      3]\n", place="study.yaml")
    assert value.content == {"a": 1, "b": {"c": [2, 3]}}
    assert value.places[("b", "c")] == "study.yaml:3"
    assert value.places[("b", "c", 1)] == "study.yaml:4"
    assert value.written(("b", "c", 1, "int")) == ("b", "c", 1)
    assert value.written(("d",)) == ()
    assert dotted(("b", "c", 1)) == "b.c[1]"


SCALARS = {
    "1e-4": 1e-4,
    "1.5": 1.5,
    ".5": 0.5,
    "3": 3,
    "no": "no",
    "off": "off",
    "true": True,
    "": None,
    "null": None,
    "0x1f": "0x1f",
    "1_000": "1_000",
    "2026-05-01": "2026-05-01",
    "'3'": "3",
}


@pytest.mark.parametrize(("text", "expected"), SCALARS.items())
def test_scalars_are_those_of_yaml_1_2(text, expected):
    read = parse_yaml(f"key: {text}", place="x").content["key"]
    assert (read, type(read)) == (expected, type(expected))


def test_a_key_that_is_there_twice_is_refused_with_both_places():
    with pytest.raises(ConfigurationError, match=r"s\.yaml:3: a: .*twice.*s\.yaml:1"):
        parse_yaml("a: 1\nb: 2\na: 3\n", place="s.yaml")


def test_broken_yaml_is_named_with_its_line():
    with pytest.raises(ConfigurationError, match=r"s\.yaml:2: this is no YAML"):
        parse_yaml("a: 1\nb: [1, }\n", place="s.yaml")


def test_tags_that_would_build_python_objects_are_refused():
    with pytest.raises(ConfigurationError, match=r"s\.yaml:1: (this is no YAML|expected plain values)"):
        parse_yaml("a: !!python/name:os.system x\n", place="s.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.yaml"):
        read_yaml(tmp_path / "absent.yaml")


def test_an_empty_file_is_an_empty_mapping(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml").content == {}


def test_override_replaces_adds_and_says_where_it_came_from():
    value = override(parse_yaml("a: {b: 1, c: 2}", place="x"), ["a.b=1e-3", "d.e=[1, 2]", "a.c=null"])
    assert value.content == {"a": {"b": 1e-3, "c": None}, "d": {"e": [1, 2]}}
    assert value.places[("a", "b")] == "--set a.b=1e-3"
    assert value.places[("d",)] == value.places[("d", "e", 1)] == "--set d.e=[1, 2]"
    assert value.places[("a",)] == "x:1"


def test_override_forgets_where_what_it_replaces_was_written():
    value = override(parse_yaml("a: {b: [1, 2]}", place="x"), ["a.b=[]"])
    assert value.written(("a", "b", 1)) == ("a", "b")


@pytest.mark.parametrize("setting", ["training.epochs", "=3", "a..b=3"])
def test_override_needs_a_key_and_a_value(setting):
    with pytest.raises(ConfigurationError, match="expected key=value"):
        override(parse_yaml("a: 1", place="x"), [setting])


def test_override_cannot_go_through_a_scalar():
    with pytest.raises(ConfigurationError, match=r"--set a\.b=3: a is 1"):
        override(parse_yaml("a: 1", place="x"), ["a.b=3"])
