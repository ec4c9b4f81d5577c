"""Runs the blocks of a page in a folder of its own, as a reader would: Python in one session, commands in order.

Lines of `unlearn-audit` alone run in this process, which spares the seconds that torch takes to import; everything
else runs in bash. A comment `# exit code 3` at a command's end says how it ends. What a page installs with pip goes
into its folder and is gone with the page. Each training lasts one epoch: what is asked is whether the code runs.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.docs.blocks import Block, commands_of
from tests.shortening import shortened
from unlearn_audit.measures import registry as measures
from unlearn_audit.methods import registry as methods
from unlearn_audit.proximities import registry as proximities
from unlearn_audit.strata import registry as strata

_EXIT_CODE = re.compile(r"#.*\bexit code (\d)")
SITE = "site-packages"
_SHELL = set("|&;<>$`(){}")
_QUOTED = re.compile(r"'[^']*'")  # plain text to a shell


@dataclass
class Session:
    """What a page has defined so far; its working folder is `folder`, inside `with`."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def __enter__(self) -> Session:
        self._patch = pytest.MonkeyPatch()
        self._patch.chdir(self.folder)
        for folder in (self.folder, self.folder / SITE):
            self._patch.syspath_prepend(str(folder))
        self._before = set(sys.modules)
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()
        for name in set(sys.modules) - self._before:
            if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(self.folder):
                del sys.modules[name]
        _forget_entry_points()

    def run(self, block: Block) -> None:
        """Write, run or pass over a block."""
        code = shortened(block.code)
        if block.title is not None:
            (self.folder / block.title).write_text(code, encoding="utf-8")
        elif not block.is_run:
            return
        elif block.language == "python":
            exec(compile(code, block.place, "exec"), self.names)
        else:
            self._shell(code, block.place)

    def _shell(self, code: str, place: str) -> None:
        commands = [line.removeprefix("$ ") for line in commands_of(code)]
        if all(line.startswith("make ") for line in commands):
            return  # test_make_targets_are_run_by_ci
        for line in commands:
            wanted = _EXIT_CODE.search(line)
            ended = _in_process(line) if _is_own(line) else self._in_bash(line)
            assert ended == (int(wanted.group(1)) if wanted else 0), f"{place}: {line}"

    def _in_bash(self, line: str) -> int:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PIP_TARGET": str(self.folder / SITE),
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round: this turns isolation off
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        _forget_entry_points()
        return done.returncode


def _is_own(line: str) -> bool:
    bare = _QUOTED.sub("", line.split("#", 1)[0])
    return line.startswith("unlearn-audit ") and not _SHELL & set(bare)


def _in_process(line: str) -> int:
    result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
    print(result.output)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code


def _forget_entry_points() -> None:
    """Let the registries look again for what is installed."""
    for registry in (methods, measures, proximities, strata):
        registry.refresh()
