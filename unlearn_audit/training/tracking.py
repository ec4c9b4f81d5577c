"""Trainer's callbacks for trackers, where several trainings follow each other in a process that has more to print."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback


class Named(TrainerCallback):
    """Gives a Trainer's arguments the names that trackers read there."""

    def __init__(self, project: str, run: str):
        self._project, self._run = project, run

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name project and run."""
        args.project, args.run_name = self._project, self._run


class Trackio(TrackioCallback):
    """Trackio's callback without what it prints, which would run into the study's own progress.

    A training that goes on from a checkpoint has its run written anew, from what it logged until that checkpoint: what
    was logged after it comes again.
    """

    def setup(self, args: Any, state: Any, model: Any, **kwargs: Any) -> None:
        """Begin the run, in place of one of this name, with what was logged before."""
        with contextlib.redirect_stdout(io.StringIO()):
            if state.is_world_process_zero:
                self._delete(args.project, args.run_name)
            super().setup(args, state, model, **kwargs)
            for entry in state.log_history:
                then = dataclasses.replace(state, global_step=entry["step"])
                logged = {name: value for name, value in entry.items() if name != "step"}
                self.on_log(args, then, None, model=model, logs=logged)

    def _delete(self, project: str, name: str) -> None:
        with contextlib.suppress(ValueError):  # there is no such project yet
            for run in self._trackio.Api().runs(project):
                if run.name == name:
                    run.delete()

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run."""
        with contextlib.redirect_stdout(io.StringIO()):
            super().on_train_end(*args, **kwargs)


class Wandb(WandbCallback):
    """W&B's callback in a run that it begins and ends: Trainer's own leaves one open, which the next training takes."""

    def __init__(self, run: dict[str, Any]):
        super().__init__()
        self._run = run

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Begin the run."""
        self._wandb.init(**self._run)
        super().setup(*args, **kwargs)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """End the run."""
        super().on_train_end(*args, **kwargs)
        self._wandb.finish()


class TensorBoard(TensorBoardCallback):
    """TensorBoard's callback in a folder; what an earlier run logged there after the last checkpoint is not shown."""

    def __init__(self, folder: str):
        super().__init__()
        self.logging_dir = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin, or go on at a checkpoint: the steps after it come again."""
        if state.is_world_process_zero:
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=state.global_step + 1)
        super().on_train_begin(args, state, control, **kwargs)
