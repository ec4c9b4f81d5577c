"""A study as files for other people's computers: SLURM arrays, and a script for Hugging Face Jobs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from huggingface_hub.cli._uv_script_header import parse_uv_script_header
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.publishing.loopback import LoopbackHub
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment import Study, read_study
from unlearn_audit.experiment.hf_jobs import STUDY, Job

CONFIG = """\
name: tiny
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
training: {epochs: 1}
references: 3
methods:
  finetune: {training: {epochs: 1}}
  gradient_ascent: {training: {epochs: 1}}
"""
# Runs each task of an array at once, and prints a number for the job.
SBATCH = """\
#!/usr/bin/env bash
set -euo pipefail
for last; do :; done
count=$(sed -n 's/#SBATCH --array=1-//p' "$last")
for task in $(seq "$count"); do SLURM_ARRAY_TASK_ID=$task bash "$last" >&2; done
echo "$*" >> "$RECORD.submitted"
wc -l < "$RECORD.submitted"
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(CONFIG)
    return path


def command(path, name, text):
    path.mkdir(exist_ok=True)
    (path / name).write_text(text)
    (path / name).chmod(0o755)


@pytest.fixture
def ran(config, tmp_path):
    """The commands that tasks ran, in order, and how the arrays were submitted."""
    arguments = [
        "slurm",
        config,
        "--to",
        tmp_path / "jobs with space",
        "-o",
        tmp_path / "runs",
        "--sbatch=--gres=gpu:1",
    ]
    done = CliRunner().invoke(app, [*map(str, arguments), "--set", "references=4"])
    assert done.exit_code == 0, done.output
    command(tmp_path / "bin", "sbatch", SBATCH)
    command(tmp_path / "bin", "unlearn-audit", '#!/usr/bin/env bash\necho "$*" >> "$RECORD"\n')
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RECORD": str(tmp_path / "record")}
    subprocess.run([tmp_path / "jobs with space" / "submit.sh"], env=environment, check=True, cwd="/")
    return (tmp_path / "record").read_text().splitlines(), (tmp_path / "record.submitted").read_text().splitlines()


def test_slurm_tasks_run_every_stage_after_what_it_needs(ran, config, tmp_path):
    study = Study.plan(read_study(config, settings=["references=4"]), tmp_path / "runs")
    commands, submitted = ran
    assert len(commands) == len(study.stages)
    assert commands[-1] == f"run {config} --output {tmp_path / 'runs'} --set references=4"  # the whole, for its report
    order = [line.partition(" --stage ")[2] or study.stages[-1].name for line in commands]
    for stage in study.stages:
        assert all(order.index(need.name) < order.index(stage.name) for need in stage.needs.values())
    assert "--dependency" not in submitted[0]
    assert [f"--dependency=afterok:{n}" in line for n, line in enumerate(submitted[1:], start=1)].count(False) == 0
    assert len(submitted) < len(study.stages) / 2  # most run side by side
    assert "#SBATCH --gres=gpu:1\n" in (tmp_path / "jobs with space" / "stages-1.sbatch").read_text()


def script_of(config, path, *options):
    done = CliRunner().invoke(app, ["job", str(config), "-o", str(path), *options])
    assert done.exit_code == 0, done.output
    return path.read_text()


def test_a_job_script_carries_its_study_and_the_hubs_parser_reads_its_header(config, tmp_path):
    options = ["--bucket=ann/studies", "--flavor=a10g-small", "--timeout=90m", "--set", "data.source=uoft-cs/cifar100"]
    text = script_of(config, tmp_path / "job.py", *options)
    header = parse_uv_script_header(text)
    assert (header.flavor, header.timeout, header.name) == ("a10g-small", "90m", "tiny")
    assert header.volumes == ["hf://buckets/ann/studies:/studies"] and header.secrets == ["HF_TOKEN"]
    carried = {}
    exec(text.partition("import os")[0], carried)  # the study is written as a literal
    assert yaml.safe_load(carried["STUDY"]) == {**yaml.safe_load(CONFIG), "data": {"source": "uoft-cs/cifar100"}}


def test_a_job_script_runs_the_study_where_the_stages_are_kept(config, tmp_path):
    """With a package in the place of this one that says what it was asked to do."""
    text = script_of(config, tmp_path / "job.py").replace("'/studies'", repr(str(tmp_path / "mounted")))
    (tmp_path / "job.py").write_text(text)
    package = tmp_path / "unlearn_audit" / "cli"
    package.mkdir(parents=True)
    (package / "main.py").write_text("import sys\ndef main():\n    print(sys.argv[1:])\n")
    done = subprocess.run([sys.executable, "job.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    kept = tmp_path / "mounted"
    assert done.stdout.strip() == str(["run", f"{kept}/tiny.yaml", "--output", f"{kept}/tiny", "--json"])
    assert yaml.safe_load((kept / "tiny.yaml").read_text()) == yaml.safe_load(CONFIG)


def test_a_job_is_started_with_study_bucket_and_hardware():
    with LoopbackHub() as hub:
        job = Job(name="tiny", study=CONFIG, bucket="ann/studies", flavor="t4-small", timeout="30m")
        started = job.submit(endpoint=hub.url, token=hub.token)
    (asked,) = hub.jobs
    assert started.id == "job-1" and hub.unhandled == []
    assert asked["flavor"] == "t4-small" and asked["timeoutSeconds"] == 1800
    assert asked["environment"][STUDY] == CONFIG and asked["secrets"] == {"HF_TOKEN": hub.token}
    assert [(v["type"], v["source"], v["mountPath"]) for v in asked["volumes"]] == [
        ("bucket", "ann/studies", "/studies")
    ]
    assert asked["command"][:2] == ["uv", "run"] and "unlearn-audit==" in " ".join(asked["command"])


def test_a_bucket_has_an_owner():
    with pytest.raises(ConfigurationError, match="USER/NAME"):
        Job(name="tiny", study=CONFIG, bucket="studies")
