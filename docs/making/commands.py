"""The command reference: what `unlearn-audit --help` and each command's `--help` print."""

from __future__ import annotations

from typer.main import get_command
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

INTRODUCTION = """# Commands

This page is made from the program itself: each block below is what `--help` prints. Exit codes: 0 done, 1 an error, 2
a wrong option or configuration, 3 a verdict that `audit --fail-on` refuses, 130 stopped with Ctrl-C. An interrupted
command goes on where it was when it is given again.
"""


def page() -> str:
    """Return the page in Markdown, a section a command."""
    sections = [INTRODUCTION, _block(help_of())]
    for name in get_command(app).commands:
        sections += [f"## {name}", _block(help_of(name))]
    return "\n\n".join(sections) + "\n"


def help_of(*command: str) -> str:
    """Return what `unlearn-audit COMMAND --help` prints."""
    return CliRunner().invoke(app, [*command, "--help"], prog_name="unlearn-audit").output.strip()


def _block(text: str) -> str:
    return f"```text\n{text}\n```"
