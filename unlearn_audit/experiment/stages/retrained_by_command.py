"""A model retrained by a command of one's own, without the forget set."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from unlearn_audit.data import ForgetSet, Images
from unlearn_audit.errors import ModelError
from unlearn_audit.experiment.attended import run_attended
from unlearn_audit.experiment.command import PlannedCommand, made_by_command
from unlearn_audit.experiment.stages.base import Workspace
from unlearn_audit.experiment.stages.examples import PlannedData, PlannedForgetSet
from unlearn_audit.experiment.stages.models import ModelStage
from unlearn_audit.files import regular, write_text

OUTPUT, LOG, _ELAPSED = "output", "command.log", "seconds.txt"
_SHOWN = 12  # last lines of a command that failed


@dataclass(frozen=True, eq=False, kw_only=True)
class RetrainedByCommand(ModelStage):
    """What the command leaves in its folder. A run that was killed calls it again with the same folder."""

    kind: ClassVar[str] = "command"
    data: PlannedData
    forget: PlannedForgetSet
    command: PlannedCommand
    seed: int

    @property
    def about(self) -> str:
        """That a command makes it."""
        return "by your command"

    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Call the command, and look for what it left."""
        images = self.data.load().train
        values = {"seed": self.seed, "folder": workspace.folder / OUTPUT}
        values |= _written(images, self.forget.choose(images), workspace.folder)
        (workspace.folder / OUTPUT).mkdir(exist_ok=True)
        cpu_before = _cpu_seconds()
        with _Clock(workspace.folder / _ELAPSED) as clock:
            self._call(self.command.config.arguments(values), workspace.folder / LOG)
        made_by_command(workspace.folder / OUTPUT)
        return {
            "seconds": clock.seconds,
            "cpu_seconds": _cpu_seconds() - cpu_before,
            "examples": None,
            "steps": None,
            "log": [],
        }

    def made(self, workspace: Workspace) -> Path:
        """Return where it is: a model's folder, or a file of predictions."""
        return made_by_command(workspace.folder_of(self) / OUTPUT)

    def _call(self, arguments: list[str], log: Path) -> None:
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        with log.open("ab") as output:
            code = run_attended(arguments, cwd=self.command.folder, env={**os.environ, **threads}, output=output)
        if code:
            last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN:])
            raise ModelError(
                f"{self.name}: the command ended with {code}. All that it said is in {log}; the same run "
                f"calls it again. Its last lines:\n{last}"
            )


def _written(images: Images, forget: ForgetSet, folder: Path) -> dict[str, Path]:
    """Write which examples to leave out, and which not, and return the paths of both files."""
    names, is_forget = images.columns.get("file_name", images.ids), forget.mask(images)
    paths = {"forget": folder / "forget.txt", "retain": folder / "retain.txt"}
    for what, chosen in (("forget", is_forget), ("retain", ~is_forget)):
        write_text(paths[what], "".join(f"{name}\n" for name in names[chosen].tolist()))
    return paths


class _Clock:
    """Wall seconds inside the block, with those of runs that were interrupted, which a file keeps."""

    def __init__(self, file: Path):
        self._file = file

    def __enter__(self) -> _Clock:
        self.seconds = _seconds_in(self._file)
        self._begin = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begin
        write_text(self._file, repr(self.seconds))


def _seconds_in(file: Path) -> float:
    """Return what the file keeps; nothing where a person or a kill damaged it."""
    try:
        return float(regular(file).read_bytes())
    except (OSError, ValueError):
        return 0.0


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
