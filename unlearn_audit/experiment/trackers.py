"""Where a study's trainings and audits are logged: trackio, TensorBoard, Weights & Biases."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unlearn_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from unlearn_audit.auditing.report import AuditReport

Tracker = Literal["trackio", "tensorboard", "wandb", "none"]
FOLDER = "tensorboard"  # of TensorBoard's files, in a study's
Log = Callable[[dict[str, float]], object]


@dataclass(frozen=True)
class Tracking:
    """Logs each model's training, and later its audit, as a run of one project.

    Attributes:
        to: the trackers; by default none.
        project: name of the study.
        folder: of the study; TensorBoard's files lie in it, and W&B's runs are told from those of other folders.
    """

    to: tuple[Tracker, ...] = ()
    project: str = ""
    folder: str = ""

    @classmethod
    def of(cls, to: Tracker | tuple[Tracker, ...] | None, project: str, folder: Path) -> Tracking:
        """Take `report_to` as a configuration says it.

        Raises:
            ConfigurationError: where a tracker is not installed.
        """
        names = (to,) if isinstance(to, str) else tuple(dict.fromkeys(to or ()))
        if "none" in names and len(names) > 1:
            raise ConfigurationError(f"report_to: expected 'none' alone, got {', '.join(names)}.")
        names = tuple(name for name in names if name != "none")
        for name in names:
            if find_spec(name) is None:
                raise ConfigurationError(
                    f"report_to: expected {name} to be installed, and it is not: pip install {name}."
                )
        return cls(names, project, str(folder.resolve()))

    def callbacks(self, run: str) -> list[TrainerCallback]:
        """Return callbacks by which a Trainer logs its training under the name `run`, each step of it once."""
        if not self.to:
            return []
        from unlearn_audit.training import tracking

        made: dict[str, Callable[[], TrainerCallback]] = {
            "trackio": tracking.Trackio,
            "tensorboard": lambda: tracking.TensorBoard(self._board(run)),
            "wandb": lambda: tracking.Wandb(self._wandb(run)),
        }
        return [tracking.Named(self.project, run), *(made[name]() for name in self.to)]

    @contextlib.contextmanager
    def run(self, name: str) -> Iterator[Log]:
        """Go on with a run, or begin one, where no Trainer does; yields what logs numbers by name to all trackers."""
        with contextlib.ExitStack() as runs:
            logs = [runs.enter_context(getattr(self, f"_{tracker}_run")(name)) for tracker in self.to]

            def log(figures: dict[str, float]) -> None:
                for each in logs:
                    each(figures)

            yield log

    def log_audit(self, report: AuditReport, runs: Mapping[str, str]) -> None:
        """Log what an audit found of each candidate in the run that `runs` names, with an alert where it fails."""
        if not self.to:
            return
        from unlearn_audit.reporting.tracking import alert_on_failure, audit_metrics

        for candidate, run in runs.items():
            with self.run(run) as log, _silence():
                log(audit_metrics(report, candidate))
                alert_on_failure(report, self.to, only=candidate)

    def _board(self, run: str) -> str:
        return str(Path(self.folder) / FOLDER / run)

    def _wandb(self, run: str) -> dict[str, Any]:
        """Return what W&B takes a run by: one of the same folder and name goes on."""
        import wandb

        key = hashlib.sha256(f"{self.folder}\n{run}".encode()).hexdigest()[:16]
        return {
            "project": self.project,
            "name": run,
            "id": key,
            "resume": "allow",
            "dir": self.folder,
            "reinit": "finish_previous",
            "settings": wandb.Settings(silent=True),
        }

    @contextlib.contextmanager
    def _trackio_run(self, name: str) -> Iterator[Log]:
        import trackio

        with _silence():
            trackio.init(self.project, name, resume="allow", auto_log_cpu=False, auto_log_gpu=False)
        try:
            yield trackio.log
        finally:
            with _silence():
                trackio.finish()

    @contextlib.contextmanager
    def _tensorboard_run(self, name: str) -> Iterator[Log]:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(self._board(name)) as writer:
            steps = itertools.count()

            def log(figures: dict[str, float]) -> None:
                step = next(steps)
                for key, value in figures.items():
                    writer.add_scalar(key, value, step)

            yield log

    @contextlib.contextmanager
    def _wandb_run(self, name: str) -> Iterator[Log]:
        import wandb

        with wandb.init(**self._wandb(name)) as run:
            yield run.log


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    """Keep what trackio prints from the study's own lines."""
    return contextlib.redirect_stdout(io.StringIO())
