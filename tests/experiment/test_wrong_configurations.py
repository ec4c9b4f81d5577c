"""Configurations that are wrong, each refused before anything is computed, with one line that names the key."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from tests.deadline import within
from unlearn_audit.errors import ConfigurationError, UnlearnAuditError
from unlearn_audit.experiment.checking import build
from unlearn_audit.experiment.config import StudyConfig, read_study, study_source
from unlearn_audit.experiment.schema import study_schema
from unlearn_audit.experiment.study import Study
from unlearn_audit.experiment.yaml_source import parse_yaml

RIGHT = """\
data: {source: digits}
forget: {label: 8, fraction: 0.25}
model: {name: resnet8}
training: {epochs: 1}
methods: {ga: {method: gradient_ascent}, ltd: {method: local_teacher_distillation}}
"""
INFINITE = ("1e999", ".inf", "-.inf", ".nan", "1e400")
NO_COUNT = ("0", "-1", "1.5", "true", "'3'", "[3]", "{}", "1" + "0" * 30)
NO_SHARE = ("-0.1", "1.1", "true", "'0.5'", "[0.5]", *INFINITE)
NO_NUMBER = ("-1", "true", "'1'", "[1]", "{}", *INFINITE)
NO_TEXT = ("3", "true", "[a]", "{a: 1}")
LEADING_OUT = ("../evil", "a/b", "/tmp/evil", "..", ".hidden", "'a\\b'", "nul", "'" + "x" * 300 + "'", "''", '"a\\0b"')
WRONG = {
    "name": (*NO_TEXT, *LEADING_OUT),
    "title": (*NO_TEXT, '"\\ud800"', "x" * 10_000),
    "data.source": (*NO_TEXT, "''", "' '", "/nowhere/at/all", "./nowhere"),
    "data.image_size": (*NO_COUNT, "100000000"),
    "data.train_split": (*NO_TEXT, "train[:10]"),
    "data.image_column": (*NO_TEXT, "picture"),
    "data.revision": (*NO_TEXT, "main"),
    "data.nosuch": ("1",),
    "forget.label": ("99", "-1", "nosuch", "1.5", "true", "[8]"),
    "forget.fraction": ("0", *NO_SHARE),
    "forget.seed": ("-1", "1.5", "true", "'1'", "1" + "0" * 30),
    "forget.file": (*NO_TEXT, "nosuch.txt", "forget.txt"),
    "forget.atypical": ("1", "'yes'", "[]"),
    "model.name": (
        *NO_TEXT,
        "nosuch",
        "''",
        "hf-hub:someone/model",
        "hf_hub:someone/model",
        "local-dir:/tmp/model",
        "../resnet8",
        "resnet8.tag",
        "'resnet8 '",
    ),
    "model.arguments": (
        "3",
        "[a]",
        "{checkpoint_path: evil.bin}",
        "{pretrained: true}",
        "{pretrained_cfg: {file: evil.bin}}",
        "{pretrained_cfg_overlay: {url: 'http://evil'}}",
        "{pretrained_strict: false}",
        "{cache_dir: /tmp}",
        "{num_classes: 3}",
        "{in_chans: 1}",
        "{features_only: true}",
        "{scriptable: true}",
        "{exportable: true}",
        "{nosuch: 1}",
        "{shortcut: 7}",
        "{width: 0}",
        "{width: -4}",
        "{width: text}",
        "{width: .nan}",
        "{width: 100000000}",
    ),
    "training.epochs": (*NO_NUMBER, "1e12"),
    "training.learning_rate": NO_NUMBER,
    "training.batch_size": NO_COUNT,
    "training.accumulation_steps": NO_COUNT,
    "training.optimizer": (*NO_TEXT, "adam", "''"),
    "training.momentum": (*NO_NUMBER, "1.5"),
    "training.nesterov": ("1", "'yes'", "null"),
    "training.weight_decay": NO_NUMBER,
    "training.scheduler": (*NO_TEXT, "step"),
    "training.warmup": (*NO_SHARE, "1"),
    "training.max_grad_norm": NO_NUMBER,
    "training.augment": ("1", "'no'"),
    "training.precision": (*NO_TEXT, "float16"),
    "training.target_accuracy": ("0", *NO_SHARE),
    "training.checkpoints": ("-1", "1.5", "true", "1000000000"),
    "training.compile": ("1", "'no'"),
    "training": ("3", "[a]", "text"),
    "references": (*NO_COUNT, "100000"),
    "candidates": (*NO_COUNT, "100000"),
    "seed": ("-1", "1.5", "true", "'1'", "1" + "0" * 30, "4294967296"),
    "threads": (*NO_COUNT, "100000"),
    "predictions.batch_size": NO_COUNT,
    "predictions.precision": (*NO_TEXT, "int4", "auto"),
    "measures": ("js", "3", "[nosuch]", "[1]", "[js, js]", "{js: 1}", "['js(x=1)']", "['']"),
    "policy.measure": (*NO_TEXT, "nosuch", "consensus_flip", "confidence_gap", "''", "js("),
    "policy.level": NO_SHARE,
    "policy.pattern": NO_NUMBER,
    "policy.alpha": ("0", "0.5", "1", *NO_NUMBER),
    "neighbourhood.proximity": (
        *NO_TEXT,
        "nosuch",
        "knn(k=0)",
        "knn(k='x')",
        "knn(z=1)",
        "knn(k=__import__)",
        "knn(k=1",
    ),
    "neighbourhood.k": (*NO_COUNT, "100000000"),
    "neighbourhood.number": (*NO_COUNT, "100000000"),
    "neighbourhood.strata": (
        *NO_TEXT,
        "nosuch",
        "top(shares=(2,))",
        "top(shares=())",
        "top(shares='x')",
        "column",
        "quantiles(number=0)",
    ),
    "neighbourhood.column": (*NO_TEXT, "nosuch"),
    "neighbourhood.embedding": ("3", "[a]"),
    "tuning.trials": NO_COUNT,
    "tuning.strata": NO_COUNT,
    "methods": (
        "{}",
        "3",
        "[ga]",
        "text",
        "null",
        "{nosuch: {}}",
        "{'../x': {method: finetune}}",
        "{original: {method: finetune}}",
    ),
    "methods.ga": ("3", "text", "[a]", "true"),
    "methods.ga.method": (*NO_TEXT, "nosuch", "../finetune", "_targets", "base"),
    "methods.ga.retain_share": NO_SHARE,
    "methods.ga.order": (*NO_TEXT, "sideways"),
    "methods.ga.saliency_share": ("0", *NO_SHARE),
    "methods.ga.freeze_batchnorm": ("1", "'no'"),
    "methods.ga.seed": ("1",),
    "methods.ga.training.epochs": NO_NUMBER,
    "methods.ga.training.learning_rate": NO_NUMBER,
    "methods.ga.search": (
        "3",
        "{learning_rate: [1, 0.1]}",
        "{learning_rate: [0, 1]}",
        "{learning_rate: [1]}",
        "{learning_rate: [0.1, .inf]}",
        "{learning_rate: [.nan, .nan]}",
        "{learning_rate: [0.1, 1], epochs: [0]}",
        "{learning_rate: [0.1, 1], epochs: [.inf]}",
    ),
    "methods.ltd.n_support": (*NO_COUNT, "100000000"),
    "methods.ltd.teacher": (*NO_TEXT, "nosuch", "hf-hub:someone/model", "local-dir:/tmp"),
    "methods.ltd.teacher_depth": NO_COUNT,
    "methods.ltd.targets_from": (*NO_TEXT, "nosuch"),
    "methods.ltd.top_m": NO_COUNT,
    "methods.ltd.threshold": (*NO_SHARE, "1"),
    "methods.ltd.temperature": ("0", *NO_NUMBER),
    "methods.ltd.teacher_epochs": NO_COUNT,
    "methods.ltd.teacher_accuracy": ("0", *NO_SHARE),
    "methods.ltd.teacher_learning_rate": ("0", *NO_NUMBER),
    "methods.ltd.teacher_folder": (*NO_TEXT, "/tmp/evil", "../evil"),
    "measured": ("3", "{}", "{measure: js}"),
    "nosuch": ("1",),
}


def study_file(folder: Path, text: str = RIGHT) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


def planned(folder: Path, *settings: str, text: str = RIGHT) -> Study:
    return Study.plan(read_study(study_file(folder, text), settings=settings), folder / "runs")


def test_the_one_that_all_begin_from_is_right(tmp_path) -> None:
    assert planned(tmp_path).stages


@pytest.mark.slow
@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_refused_before_anything_is_computed(tmp_path, key) -> None:
    accepted = []
    for value in WRONG[key]:
        with within(60):
            try:
                planned(tmp_path, f"{key}={value}")
            except UnlearnAuditError as refused:
                assert 0 < len(str(refused)) < 3000
            else:
                accepted.append(value)
    assert accepted == []


def test_what_does_not_fit_is_told_at_once_with_the_lines_that_say_it(tmp_path) -> None:
    text = RIGHT.replace("label: 8", "label: 99").replace("name: resnet8", "name: resnet8, arguments: {nosuch: 1}")
    source = study_source(study_file(tmp_path, text + "neighbourhood: {number: 5000}\n"))
    with pytest.raises(ConfigurationError) as refused:
        Study.plan(build(source, StudyConfig), tmp_path / "runs", places=source.places)
    lines = str(refused.value).splitlines()
    places = [(2, "forget"), (3, "model"), (6, "neighbourhood.number")]
    assert [f"study.yaml:{line}: {key}: " in each for each, (line, key) in zip(lines, places, strict=True)] == [
        True
    ] * 3


def test_a_study_too_large_for_this_machine_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="this machine has less memory"):
        planned(tmp_path, "model.arguments={width: 100000}")


def test_the_schema_for_editors_takes_what_ships_and_refuses_what_is_wrong() -> None:
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    shipped = [*Path("examples").glob("*.yaml"), *Path("examples").glob("studies/*.yaml")]
    for path in shipped:
        assert list(validator.iter_errors(parse_yaml(path.read_text(), place="x").content)) == [], path
    for text in ("{}", "data: 3", RIGHT + "nosuch: 1", RIGHT + "references: 0", RIGHT.replace("gradient_", "nosuch_")):
        assert list(validator.iter_errors(parse_yaml(text, place="x").content)), text
