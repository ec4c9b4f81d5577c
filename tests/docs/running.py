"""Runs the blocks of a page in a folder of its own, as a reader would: Python in one session, commands in order.

Lines of `unlearn-audit` alone run in this process, which spares the seconds that torch takes to import; everything
else runs in bash. A comment `# exit code 3` at a command's end says how it ends. Once a page has installed something,
all its commands run in bash, where they see it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner
from unlearn_audit.cli.main import app

from tests.docs.blocks import Block, commands_of

_EXIT_CODE = re.compile(r"#.*\bexit code (\d)")
_SHELL = set("|&;<>$`(){}")


@dataclass
class Session:
    """What a page has defined so far, in `folder`; `environment` is added to that of its commands."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    in_bash: bool = False
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def run(self, block: Block) -> None:
        """Write, run or pass over a block."""
        if block.title is not None:
            (self.folder / block.title).write_text(block.code, encoding="utf-8")
        elif not block.is_run:
            return
        elif block.language == "python":
            exec(compile(block.code, block.place, "exec"), self.names)
        else:
            self._shell(block)

    def _shell(self, block: Block) -> None:
        commands = [line.removeprefix("$ ") for line in commands_of(block.code)]
        if all(line.startswith("make ") for line in commands):
            return  # test_make_targets_are_run_by_ci
        self.in_bash = self.in_bash or any(line.startswith("pip ") for line in commands)
        for line in commands:
            wanted = _EXIT_CODE.search(line)
            code = self._in_bash(line) if self.in_bash or not _is_own(line) else self._in_process(line)
            assert code == (int(wanted.group(1)) if wanted else 0), f"{block.place}: {line}"

    def _in_process(self, line: str) -> int:
        result = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        print(result.output)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code

    def _in_bash(self, line: str) -> int:
        site = self.folder / "site-packages"
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site),
            "PIP_TARGET": str(site),  # what a page installs, only this page sees
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round: this turns isolation off
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **self.environment,
        }
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        return done.returncode


def _is_own(line: str) -> bool:
    return line.startswith("unlearn-audit ") and not _SHELL & set(line.split("#", 1)[0])
