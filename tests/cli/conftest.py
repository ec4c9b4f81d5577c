import subprocess
import sys

import pytest
from unlearn_audit.cli.main import main


@pytest.fixture
def command():
    """Run `unlearn-audit` in a process of its own, as a person does."""

    def run(*arguments, **options):
        line = [sys.executable, "-m", "unlearn_audit.cli", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, check=False, **options)

    return run


@pytest.fixture
def main_here(monkeypatch, capfd):
    """Run what `unlearn-audit` runs in this process, which has torch at hand; a process needs seconds to import it."""

    def run(*arguments):
        line = ["unlearn-audit", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as end:
            main()
        return subprocess.CompletedProcess(line, end.value.code, *capfd.readouterr())

    return run
