import subprocess
import sys

import pytest


@pytest.fixture
def command():
    """Run `unlearn-audit` in a process of its own, as a person does."""

    def run(*arguments, **options):
        line = [sys.executable, "-m", "unlearn_audit.cli", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, check=False, **options)

    return run
