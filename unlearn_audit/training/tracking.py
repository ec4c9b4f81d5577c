"""Trainer's callbacks for trackers, where several trainings follow each other in a process that has more to print."""

from __future__ import annotations

import contextlib
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
    """Trackio's callback without what it prints, which would run into the study's own progress."""

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Begin the run."""
        with contextlib.redirect_stdout(io.StringIO()):
            super().setup(*args, **kwargs)

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


def tensorboard(folder: str) -> TensorBoardCallback:
    """Return TensorBoard's callback, which writes into this folder."""
    callback = TensorBoardCallback()
    callback.logging_dir = folder
    return callback
