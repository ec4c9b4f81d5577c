"""`--json` and `--quiet`: what programs read, of every command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner
from unlearn_audit.cli.main import app, command_names

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "machines.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ask():
    runner = CliRunner()

    def ask(*arguments: object) -> dict:
        found = runner.invoke(app, [*map(str, arguments), "--json"])
        document = json.loads(found.stdout)
        assert document["exit_code"] == found.exit_code
        assert (document["schema_version"], document["command"]) == (1, arguments[0])
        for key in document["result"]:
            assert f"`{key}`" in DOCUMENTED
        return document

    return ask


@pytest.mark.parametrize("name", command_names())
def test_every_command_takes_both(name):
    command = typer.main.get_command(app).commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--quiet"} <= options
    assert command.help and not command.help.startswith("None")


@pytest.mark.parametrize("name", command_names())
def test_every_command_s_keys_are_documented(name):
    table = DOCUMENTED.partition("## What stands in `result`")[2]
    assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", table, re.MULTILINE), f"{name} has no row in docs/machines.md"


def test_a_report_is_verified_and_written_again(ask, report_folder):
    checked = ask("verify", report_folder)
    (audit,) = checked["result"]["audits"]
    assert audit["differences"] == [] and audit["figures"] > 100
    written = ask("report", report_folder, "--format", "md")["result"]["files"]
    assert written and all(Path(path).is_file() for path in written)


def test_a_difference_is_an_error_with_its_findings(ask, report_folder):
    (report_folder / "report.json").write_text("{}")
    document = ask("verify", report_folder)
    assert document["exit_code"] == 1 and document["error"]["type"] == "VerificationError"
    assert "report.json" in document["result"]["audits"][0]["differences"][0]


def test_an_audit_tells_each_answer_and_ends_as_asked(ask, report_folder, tmp_path):
    files = [f"--reference={path}" for path in sorted(tmp_path.glob("retrained-*.parquet"))]
    inputs = [f"--candidate={tmp_path / 'damaged.parquet'}", *files, f"--forget={tmp_path / 'forget.txt'}"]
    inputs += [f"--original={tmp_path / 'original.parquet'}", f"--output={tmp_path / 'new'}", "--set=measures=[js]"]
    document = ask("audit", *inputs, "--fail-on=inconclusive")
    (model,) = document["result"]["models"]
    assert document["exit_code"] == (0 if model["outcome"] == "pass" else 3)
    assert document["result"]["num_references"] == len(files)
    assert list(model["answers"]) == ["forgotten", "neighbours", "rest"]
    assert {answer["outcome"] for answer in model["answers"].values()} <= {"pass", "fail", "inconclusive"}
    assert Path(document["result"]["report"]).is_file()


def test_plugins_have_their_options(ask):
    found = ask("neighbourhoods")["result"]["plugins"]
    knn = next(plugin for plugin in found if plugin["name"] == "knn")
    assert {option["name"] for option in knn["options"]} >= {"k"}
    assert ask("measures", "js")["result"]["plugins"][0]["kind"] == "measure"


def test_what_is_wrong_with_a_command_is_told_with_its_code(ask, tmp_path):
    document = ask("init", tmp_path / "x.yaml", "--example=none")
    assert (document["exit_code"], document["error"]["type"]) == (2, "ConfigurationError")
    assert "no example" in document["error"]["message"]
    assert ask("init", tmp_path / "x.yaml")["result"]["file"] == str(tmp_path / "x.yaml")


def test_quiet_prints_nothing(tmp_path):
    found = CliRunner().invoke(app, ["init", str(tmp_path / "x.yaml"), "--quiet"])
    assert (found.exit_code, found.output) == (0, "")
    assert (tmp_path / "x.yaml").is_file()
