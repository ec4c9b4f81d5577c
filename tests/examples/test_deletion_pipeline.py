"""The workflow's own steps, run as GitHub runs them: on a model that forgot well, and on one that did not."""

from __future__ import annotations

import functools
import shlex
import shutil

import pytest
import yaml

from tests.examples.conftest import EXAMPLES, bash
from tests.shortening import shortened
from unlearn_audit import AuditReport

PIPELINE = EXAMPLES / "deletion_pipeline"
pytestmark = pytest.mark.slow
WORKFLOW = yaml.safe_load((PIPELINE / "audit-unlearning.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in WORKFLOW["jobs"]["audit"]["steps"] if "name" in step}
BAD = (
    "unlearn-audit unlearn models/original --data digits --output models/bad --method random_labels "
    "--forget-file audit/forget.json --set training.epochs=10 --set training.learning_rate=5e-2 "
    "--set training.batch_size=64 --set training.precision=float32"
)


@pytest.fixture(scope="module")
def environment(quick_commands):
    return {**quick_commands, **WORKFLOW["env"]}


@pytest.fixture(scope="module")
def prepared(environment, tmp_path_factory):
    """A repository in which `prepare.sh` was run, and a second model was unlearned badly."""
    folder = tmp_path_factory.mktemp("prepared")
    scripts = shutil.copytree(PIPELINE, folder / "examples" / "deletion_pipeline")
    (scripts / "prepare.sh").write_text(shortened((scripts / "prepare.sh").read_text(), 8))
    assert bash("bash examples/deletion_pipeline/prepare.sh", folder, environment).returncode == 0
    assert bash(BAD, folder, environment).returncode == 0
    return folder


@pytest.fixture
def repository(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "repository")


def as_github(folder, environment) -> dict[str, int]:
    """Run the steps after the installation; a step runs after a failed one only where its `if` says so."""
    codes: dict[str, int] = {}
    for name, step in STEPS.items():
        if name == "Install" or "run" not in step:
            continue
        assert step.get("if") in (None, "success() || failure()")
        if "if" in step or not any(codes.values()):
            codes[name] = bash(step["run"], folder, environment).returncode
    return codes


@pytest.fixture(scope="module")
def audited(prepared, environment, tmp_path_factory):
    """Return a function that runs the workflow once for a model, and gives its repository and its exit codes."""

    @functools.cache
    def run(model: str):
        repository = shutil.copytree(prepared, tmp_path_factory.mktemp("audited") / "repository")
        return repository, as_github(repository, {**environment, "MODEL": model})

    return run


@pytest.mark.parametrize(("model", "code"), [("models/unlearned", 0), ("models/bad", 3)])
def test_the_workflow_lets_a_good_model_pass_and_stops_a_bad_one(audited, model, code) -> None:
    repository, codes = audited(model)
    assert codes == {"Predict": 0, "Audit": code, "Verify": 0}
    report = repository / STEPS["Keep the report"]["with"]["path"]
    assert (report / "report.html").is_file()
    assert (AuditReport.load(report).verdicts["unlearned"].outcome == "fail") == (code == 3)


@pytest.mark.parametrize(("model", "code"), [("models/unlearned", 0), ("models/bad", 3), ("models/missing", 1)])
def test_the_script_for_other_systems_ends_with_the_same_code(repository, environment, model, code) -> None:
    done = bash(f"bash {PIPELINE / 'check.sh'}", repository, {**environment, "MODEL": model})
    assert done.returncode == code
    assert ("figures agree" in done.stdout) == (code != 1)


def test_an_edited_report_fails_the_verification(audited, environment, tmp_path) -> None:
    passed, codes = audited(WORKFLOW["env"]["MODEL"])
    assert not any(codes.values())
    repository = shutil.copytree(passed, tmp_path / "repository")
    path = repository / "report" / "report.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"outcome": "', '"outcome": "in', 1), encoding="utf-8")
    assert bash(STEPS["Verify"]["run"], repository, environment).returncode == 1


def test_script_and_workflow_have_the_same_commands() -> None:
    script = (PIPELINE / "check.sh").read_text(encoding="utf-8")
    in_workflow = [step["run"] for name, step in STEPS.items() if "run" in step and name != "Install"]
    assert commands(script) == commands("\n".join(in_workflow))


def commands(text: str) -> list[list[str]]:
    lines = [line.split("||")[0] for line in text.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("unlearn-audit ")]


def test_the_workflow_installs_this_package_and_keeps_the_report_of_a_failure() -> None:
    assert STEPS["Install"]["run"] == "pip install unlearn-audit"
    assert STEPS["Keep the report"]["if"] == STEPS["Verify"]["if"]
    assert all("if" not in STEPS[name] for name in ("Install", "Predict", "Audit"))
