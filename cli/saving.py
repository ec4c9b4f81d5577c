"""Saves what `train` and `unlearn` made, and says so."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .machine import tell

if TYPE_CHECKING:
    from unlearn_audit.data import ForgetSet
    from unlearn_audit.training import TrainingRun

CHECKPOINTS = "checkpoints"  # of a model's folder


def report_run(run: TrainingRun, output: Path, forget: ForgetSet | None) -> None:
    """Save the model and its forget set, remove its checkpoints, and print where it is and what it took."""
    from unlearn_audit.models import save_model
    from unlearn_audit.processes import process_state

    if not process_state().is_main_process:
        return
    save_model(run.model, output)
    if forget is not None:
        forget.save(output / "forget.json")
    tell(
        folder=output,
        forget=None if forget is None else output / "forget.json",
        steps=run.steps,
        examples=run.examples,
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        change=None if run.change is None else asdict(run.change),
    )
    typer.echo(f"{output}: {run.steps} steps, {run.examples} examples, {run.seconds:.1f} s")
    if run.change is not None:
        typer.echo(f"{run.change}")
    _remove_checkpoints(run, output / CHECKPOINTS)


def _remove_checkpoints(run: TrainingRun, folder: Path) -> None:
    """Remove those of this run alone, and say so where another one's are left."""
    if run.checkpoints is not None:
        shutil.rmtree(run.checkpoints)
    if any(folder.iterdir()):
        typer.echo(f"{folder} keeps unfinished runs with other inputs; the same commands go on from there.", err=True)
    else:
        folder.rmdir()
