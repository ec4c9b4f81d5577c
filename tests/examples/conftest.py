from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
Bash = Callable[..., subprocess.CompletedProcess]


def bash(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess:
    """Run a command as GitHub and people do, stopping at the first error."""
    done = subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    print(done.stdout, done.stderr)
    return done


def copied(name: str, folder: Path) -> Path:
    """Copy an example out of the checkout."""
    source, target = EXAMPLES / name, folder / Path(name).name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target
