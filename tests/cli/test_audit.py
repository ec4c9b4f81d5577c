"""`audit`, `verify` and `report` on files of predictions of known nature."""

import numpy as np
import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app
from unlearn_audit.cli.options import model_files

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, VerificationError
from unlearn_audit.predictions import Predictions

pytestmark = pytest.mark.slow
CLASSES, TRAIN, TEST = 4, 400, 120


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Retrained models that differ by noise, one more of their kind, and one that is far from them."""
    folder = tmp_path_factory.mktemp("predictions")
    rng = np.random.default_rng(0)
    n = TRAIN + TEST
    labels = rng.integers(CLASSES, size=n)
    truth = 4 * np.eye(CLASSES)[labels]
    embeddings = np.eye(CLASSES)[labels] + 0.3 * rng.normal(size=(n, CLASSES))
    splits = np.where(np.arange(n) < TRAIN, "train", "test")
    ids = np.array([f"{split}-{row}" for row, split in enumerate(splits)])

    def save(name, logits):
        made = Predictions(ids, splits, labels, logits.astype(np.float32), embeddings.astype(np.float32))
        made.save(folder / f"{name}.parquet")
        return folder / f"{name}.parquet"

    def trained():
        return truth + rng.normal(size=truth.shape)

    found = {f"r{k}": save(f"r{k}", trained()) for k in range(5)}
    found |= {name: save(name, trained()) for name in ("honest", "original")}
    found["damaged"] = save("damaged", -truth + rng.normal(size=truth.shape))
    found["untrained"] = save("untrained", rng.normal(size=truth.shape) * 3)
    found |= {name: save(name, trained()) for name in ("honest-2", "original-2")}
    found["forget"] = folder / "forget.txt"
    found["forget"].write_text("\n".join(ids[:TRAIN][labels[:TRAIN] == 0][:40]))
    return found


def line(files, candidates, output, *more):
    parts = ["audit", "--forget", files["forget"], "--output", output]
    parts += [part for k in range(5) for part in ("--reference", files[f"r{k}"])]
    parts += [part for name in candidates for part in ("--candidate", files[name])]
    parts += ["--original", files["original"], "--untrained", files["untrained"]]
    return [str(part) for part in [*parts, "--set", "neighbourhood.number=3", *more]]


@pytest.fixture(scope="module")
def audited(files, tmp_path_factory):
    output = tmp_path_factory.mktemp("report")
    return output, CliRunner().invoke(app, line(files, ["honest", "damaged"], output))


def test_an_audit_writes_its_report_and_shows_its_table(audited):
    output, shown = audited
    assert shown.exit_code == 0, shown.output
    assert AuditReport.load(output).verdicts["damaged"].outcome == "fail"
    assert (output / "report.html").is_file()
    lines = shown.output.splitlines()
    assert any(
        text.startswith("damaged") and text.split()[-4:] == ["no:", "over-forgets", "no", "no"] for text in lines
    )
    assert any(text.startswith("5 retrained") for text in lines)
    assert str(output / "report.html") in shown.output


def test_fail_on_makes_the_exit_code_3(files, tmp_path):
    assert CliRunner().invoke(app, line(files, ["damaged"], tmp_path, "--fail-on", "fail")).exit_code == 3


def test_fail_on_lets_a_candidate_through_that_does_not_fail(files, tmp_path):
    assert CliRunner().invoke(app, line(files, ["honest"], tmp_path, "--fail-on", "fail")).exit_code == 0


def test_a_policy_comes_from_yaml_and_from_set(files, tmp_path):
    config = tmp_path / "policy.yaml"
    config.write_text("title: Ours\npolicy: {level: 0.1, alpha: 0.01}\n")
    more = ["--config", str(config), "--set", "policy.alpha=0.02"]
    CliRunner().invoke(app, line(files, ["honest"], tmp_path / "out", *more))
    report = AuditReport.load(tmp_path / "out")
    assert (report.title, report.policy.level, report.policy.alpha) == ("Ours", 0.1, 0.02)


def test_a_policy_of_the_first_version_is_refused_by_its_key(files, tmp_path):
    config = tmp_path / "policy.yaml"
    config.write_text("policy: {measure: js, relative: 0.25}\n")
    shown = CliRunner().invoke(app, line(files, ["honest"], tmp_path / "out", "--config", str(config)))
    assert isinstance(shown.exception, ConfigurationError)
    assert "policy.relative" in str(shown.exception)
    assert not (tmp_path / "out" / "report.json").exists()


def test_candidates_of_several_originals_are_judged_as_one_method(files, tmp_path):
    parts = ["audit", "--forget", files["forget"], "--output", tmp_path / "report"]
    parts += [part for k in range(5) for part in ("--reference", files[f"r{k}"])]
    parts += [part for name in ("honest", "honest-2") for part in ("--candidate", f"method={files[name]}")]
    parts += [part for name in ("original", "original-2") for part in ("--original", files[name])]
    shown = CliRunner().invoke(app, [str(part) for part in parts])
    assert shown.exit_code == 0, shown.output
    report = AuditReport.load(tmp_path / "report")
    assert list(report.verdicts) == ["method"]
    deleted = set(files["forget"].read_text().split())

    def level(name):
        found = Predictions.load(files[name])
        rows = [example in deleted for example in found.example_ids]
        powers = np.exp(found.logits.astype(np.float64))
        return (powers[np.arange(len(powers)), found.labels] / powers.sum(axis=1))[rows].mean()

    for name, seeds in (("method", ("honest", "honest-2")), ("original", ("original", "original-2"))):
        told = report.judgements[name].answers[0].findings[0]
        assert told.value == pytest.approx(np.mean([level(seed) for seed in seeds]), abs=1e-5)
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "report")]).exit_code == 0


def test_verify_agrees_and_notices_an_edited_figure(audited):
    output, _ = audited
    shown = CliRunner().invoke(app, ["verify", str(output)])
    assert shown.exit_code == 0 and "figures agree" in shown.output
    text = (output / "report.json").read_text()
    try:
        (output / "report.json").write_text(text.replace("Unlearning audit", "Unlearned", 1))
        assert isinstance(CliRunner().invoke(app, ["verify", str(output)]).exception, VerificationError)
    finally:
        (output / "report.json").write_text(text)


def test_report_is_made_again_and_several_are_compared(audited, tmp_path):
    output, _ = audited
    (output / "report.html").unlink()
    assert CliRunner().invoke(app, ["report", str(output), "--format", "html"]).exit_code == 0
    assert (output / "report.html").is_file()
    path = tmp_path / "both.html"
    assert CliRunner().invoke(app, ["report", str(output), str(output), "-o", str(path)]).exit_code == 0
    assert path.is_file()


def test_push_says_what_it_would_push(audited, files, tmp_path):
    output, _ = audited
    shown = CliRunner().invoke(app, ["push", str(output), "--repo-id", "a/b", "--dry-run"])
    assert isinstance(shown.exception, ConfigurationError)
    assert "Expected the name of one candidate" in str(shown.exception)


def test_a_name_gathers_the_files_of_its_seeds():
    found = model_files(["ltd=a.parquet", "ltd=b.parquet", "x/other.parquet"])
    assert {name: model.predictions for name, model in found.items()} == {
        "ltd": ("a.parquet", "b.parquet"),
        "other": ("x/other.parquet",),
    }


def test_two_files_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match=r"got 'p' twice. Write NAME=b/p\.parquet"):
        model_files(["a/p.parquet", "b/p.parquet"])
