"""What holds for every command: help, exit codes, errors without tracebacks, and a quick start."""

import importlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner
from unlearn_audit.cli.main import ORDER, add_commands, app, command_names

from unlearn_audit import __version__, cli

NAMES = command_names()
HELPERS = {
    "completing",
    "machine",
    "sources",
    "__init__",
    "__main__",
    "main",
    "options",
    "plugins",
    "progress",
    "saving",
    "tables",
}


def test_every_file_is_a_command_or_a_known_helper():
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert files - HELPERS == set(NAMES)


def test_help_lists_the_commands_in_their_order():
    assert list(get_command(app).commands) == list(NAMES)
    assert NAMES[: len(ORDER)] == ORDER


def test_a_new_file_is_a_command_and_comes_last(tmp_path, monkeypatch):
    (tmp_path / "added.py").write_text('def run(name: str) -> None:\n    """Say it."""\n    print(name)\n')
    (tmp_path / "helper.py").write_text("def running() -> None:\n    pass\n")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path)])
    assert command_names() == (*NAMES, "added")
    extended = typer.Typer()
    add_commands(extended)
    assert "added" in get_command(extended).commands
    monkeypatch.delitem(sys.modules, f"{cli.__name__}.added")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(command, name):
    shown = command(name, "--help")
    assert shown.returncode == 0
    assert "Usage: " in shown.stdout


def test_the_summaries_of_the_commands_fit_their_lines(command):
    assert "..." not in command("--help").stdout.partition("Commands:")[2]


def test_version(command):
    assert command("--version").stdout.split() == ["unlearn-audit", __version__]


@pytest.mark.parametrize("arguments", [["nonsense"], ["run"], ["run", "x.yaml", "--nonsense"]])
def test_wrong_usage_exits_with_2(command, arguments):
    assert command(*arguments).returncode == 2


def test_a_wrong_configuration_exits_with_2_and_one_line(main_here, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("data: {source: digits}\nforget: {lable: 8}\nmodel: {name: resnet8}\n")
    failed = main_here("run", path)
    assert failed.returncode == 2
    assert failed.stderr == (f"Error: {path}:2: forget.lable: there is no such key. Did you mean 'label'?\n")


def test_an_error_exits_with_1_and_no_traceback(main_here, command, tmp_path):
    for failed in (
        main_here("predict", tmp_path / "absent", "--data", "digits", "--output", tmp_path / "p.parquet"),
        command("report", tmp_path / "absent"),
    ):
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: ")
        assert "Traceback" not in failed.stderr


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom unlearn_audit.cli.main import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


def test_help_costs_less_than_half_a_second_more_than_python(command):
    def seconds(*line):
        """CPU time, which other work on the machine does not lengthen as it does the clock."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(line, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(seconds(sys.executable, "-c", "pass") for _ in range(3))
    helped = min(seconds(sys.executable, "-m", "unlearn_audit.cli", "--help") for _ in range(3))
    assert helped - bare < 0.5


@pytest.mark.parametrize(
    "line",
    [
        "selftest",
        "calibrate digits",
        "audit --candidate a --reference b --forget c",
        "plan --original a --forget b",
        "verify report",
        "run study.yaml",
        "demo",
        "train --data digits --output model",
        "unlearn model --data digits --output other --method finetune --forget-class 8",
        "predict model --data digits --output a.parquet",
    ],
)
def test_what_computes_leaves_busy_cores_to_others(line, monkeypatch):
    """Threads that share a core wait for each other: the self-test took 204 s instead of 9 beside one busy process."""

    class LimitedError(Exception):
        pass

    def stop():
        raise LimitedError

    module = importlib.import_module(f"unlearn_audit.cli.{line.split()[0]}")
    monkeypatch.setattr(module, "limit_threads", stop)
    ended = CliRunner().invoke(app, line.split())
    assert isinstance(ended.exception, LimitedError), ended.output
