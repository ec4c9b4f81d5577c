"""Benchmarks: written from pools and audits, read back from a folder and from the Hub, and the same audit by them."""

from __future__ import annotations

import dataclasses
import json

import huggingface_hub.constants
import numpy as np
import pytest
import yaml
from huggingface_hub import HfApi
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

import unlearn_audit
from tests.publishing.loopback import LoopbackHub
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.calibration.benchmark import (
    Benchmark,
    fingerprint,
    write_benchmark,
    written_from_pool,
    written_from_report,
)
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool, shipped_pool
from unlearn_audit.errors import AuditError, ConfigurationError, HubError
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.populations import FORGET
from unlearn_audit.predictions import Predictions
from unlearn_audit.remote.sources import fetched_dataset
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import run_audit

_KINDS = ("originals", "retrained")


@pytest.fixture(scope="module")
def pool() -> Pool:
    whole = shipped_pool("digits")
    logits = {HONEST: whole.logits[HONEST][:5], ORIGINAL: whole.logits[ORIGINAL][:2]}
    return dataclasses.replace(whole, logits=logits)


@pytest.fixture(scope="module")
def benchmark(pool, tmp_path_factory) -> Benchmark:
    return written_from_pool(pool, tmp_path_factory.mktemp("benchmarks") / "digits")


@pytest.fixture(scope="module")
def candidate(benchmark, tmp_path_factory):
    """The predictions of a sixth retrained model of the pool."""
    first = Predictions.load(benchmark.folder / "retrained" / "retrained-01.parquet")
    path = tmp_path_factory.mktemp("candidates") / "honest.parquet"
    dataclasses.replace(first, logits=shipped_pool("digits").logits[HONEST][5]).save(path)
    return path


def test_the_audit_by_a_benchmark_is_that_of_the_arrays_themselves(benchmark, candidate, pool) -> None:
    mine = run_audit(benchmark.request({"honest": ModelFiles((str(candidate),))})).report
    theirs = unlearn_audit.audit(
        {"honest": Predictions.load(candidate).logits},
        {f"retrained-{k + 1:02d}": logits for k, logits in enumerate(pool.logits[HONEST])},
        pool.population == FORGET,
        original=pool.logits[ORIGINAL][0],
        labels=pool.labels,
        example_ids=pool.example_ids,
        splits=np.where(pool.population == 2, "test", "train"),
        proximities=pool.proximity[0],
    ).report
    assert mine.num_references == 5 and mine.verdicts == theirs.verdicts and mine.data.name == "digits"
    assert mine.comparison("honest", "retain", "js") == theirs.comparison("honest", "retain", "js")


def test_it_is_what_it_says_and_other_examples_are_noticed(benchmark, pool, tmp_path) -> None:
    about = Benchmark.load(benchmark.folder).about
    assert (about.retrained, about.originals, about.examples, about.forgotten) == (5, 2, 1797, 70)
    assert about.made["training"]["epochs"] == 10
    benchmark.verify()
    first = Predictions.load(benchmark.folder / "retrained" / "retrained-01.parquet")
    np.testing.assert_array_equal(first.logits, pool.logits[HONEST][0])
    assert fingerprint(first) == about.fingerprint
    assert fingerprint(dataclasses.replace(first, labels=first.labels[::-1].copy())) != about.fingerprint

    copy = written_from_pool(pool, tmp_path / "copy")
    dataclasses.replace(first, labels=first.labels[::-1].copy()).save(copy.folder / "originals" / "original-02.parquet")
    with pytest.raises(AuditError, match="original-02"):
        copy.verify()
    (copy.folder / "retrained" / "retrained-05.parquet").unlink()
    with pytest.raises(AuditError, match=r"retrained-05.parquet is missing"):
        copy.request({"honest": ModelFiles(("x",))})


def test_its_card_tells_the_hub_where_the_files_are(benchmark) -> None:
    head, body = (benchmark.folder / "README.md").read_text().removeprefix("---\n").split("\n---\n", 1)
    metadata = yaml.safe_load(head)
    paths = [path for config in metadata["configs"] for path in benchmark.folder.glob(config["data_files"])]
    assert len(paths) == 7 and "unlearn-audit" in metadata["tags"]
    assert "5 models that were retrained" in body and "says who was forgotten" in body


def test_an_audit_becomes_a_benchmark_that_finds_the_same(saved_report, tmp_path) -> None:
    made = written_from_report(saved_report, tmp_path / "made", name="made")
    report = AuditReport.load(saved_report)
    assert made.about.retrained == report.num_references and made.about.forgotten == report.forget_set.size
    assert not any("honest" in path.name for path in made.folder.rglob("*"))  # candidates stay away
    candidate = ModelFiles((str(saved_report.parent / "honest.parquet"),))
    again = run_audit(made.request({"honest": candidate})).report
    assert NeighbourhoodConfig(**made.about.neighbourhood).number == 4
    for stratum, before in zip(
        again.comparison("honest", "retain", "js").strata,
        report.comparison("honest", "retain", "js").strata,
        strict=True,
    ):
        assert stratum.ratio == pytest.approx(before.ratio, rel=0.02)  # logits are kept in half precision


def test_one_is_found_by_its_folder(benchmark, tmp_path) -> None:
    assert Benchmark.find(str(benchmark.folder), tmp_path).about == benchmark.about
    with pytest.raises(ConfigurationError, match="Did you mean 'digits'"):
        Benchmark.find("digitz", tmp_path)
    with pytest.raises(AuditError, match=r"benchmark\.json"):
        Benchmark.load(tmp_path)


def test_one_is_fetched_from_the_hub(benchmark, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with LoopbackHub() as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        api.create_repo("tester/digits", repo_type="dataset")
        api.upload_folder(repo_id="tester/digits", folder_path=benchmark.folder, repo_type="dataset")
        folder = fetched_dataset("hf://datasets/tester/digits", endpoint=hub.url, token=hub.token)
        fetched = Benchmark.load(folder)
        assert fetched.about == benchmark.about
        fetched.verify()
        assert not list(folder.rglob("*.md"))
        with pytest.raises(HubError, match="There is no"):
            fetched_dataset("hf://datasets/tester/none", endpoint=hub.url, token=hub.token)
    with pytest.raises(HubError, match="a whole data set"):
        fetched_dataset("hf://datasets/tester/digits/retrained/retrained-01.parquet")


def said(*arguments: object, code: int = 0) -> dict:
    result = CliRunner().invoke(app, ["benchmark", *map(str, arguments), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_command_lists_shows_writes_and_refuses(tmp_path, saved_report, benchmark) -> None:
    assert [one["name"] for one in said()["result"]["benchmarks"]] == ["digits", "memorising", "generalising"]
    assert said(benchmark.folder)["result"]["benchmark"]["retrained"] == 5
    said("--from-report", saved_report, "--output", tmp_path / "made")
    assert Benchmark.load(tmp_path / "made").about.name == "made"
    for wrong in (
        ("--candidate", "x.parquet"),
        ("--from-report", saved_report),
        ("nosuch",),
        (benchmark.folder, "--output", tmp_path / "copy"),
    ):
        said(*wrong, code=2)


@pytest.mark.slow
def test_the_command_audits_and_prints_a_row(benchmark, candidate, tmp_path) -> None:
    audit = (benchmark.folder, "--candidate", f"mine={candidate}")
    (row,) = said(*audit, "--references=4", "--output", tmp_path / "report")["result"]["rows"]
    assert row["method"] == "mine" and row["references"] == 4 and row["rest"] == "pass"
    assert (tmp_path / "report" / "report.html").is_file()
    said(*audit, "--references=9", "--output", tmp_path / "other", code=2)


def test_a_candidate_that_predicts_more_examples_is_cut_to_those_of_the_benchmark(benchmark, candidate, tmp_path):
    own = Predictions.load(candidate)
    more = tmp_path / "more.parquet"
    joined = {name: np.concatenate([getattr(own, name)[::-1]] * 2) for name in ("splits", "labels", "logits")}
    ids = np.concatenate([own.example_ids[::-1], [f"other-{row}" for row in range(len(own))]])
    dataclasses.replace(own, example_ids=ids, embeddings=None, **joined).save(more)
    found = benchmark.own_examples(ModelFiles((str(more), str(candidate))), tmp_path / "cut")
    cut = Predictions.load(found.predictions[0])
    assert found.predictions[1] == str(candidate)
    assert np.array_equal(cut.example_ids, own.example_ids[::-1]) and np.array_equal(cut.logits, own.logits[::-1])


def test_the_weights_of_the_originals_lie_beside_their_predictions(benchmark, tmp_path):
    data = unlearn_audit.load_images("digits")
    unlearn_audit.save_model(unlearn_audit.create_model("resnet8", data.train, seed=0, width=4), tmp_path / "original")
    models = {kind: [Predictions.load(f.predictions[0]) for f in benchmark.models(kind).values()] for kind in _KINDS}
    forget, nearness = models["retrained"][0].example_ids[:5], np.zeros(benchmark.about.examples)
    made = write_benchmark(
        tmp_path / "made",
        models,
        forget,
        (models["retrained"][0].example_ids, nearness),
        weights=[tmp_path / "original"],
        name="made",
        title="Made",
    )
    assert unlearn_audit.load_model(made.folder / "models" / "model-01").num_labels == 10
    assert "models/model-01" in (made.folder / "README.md").read_text(encoding="utf-8")
    assert (made.about.forgotten, made.about.retrained) == (5, 5)
