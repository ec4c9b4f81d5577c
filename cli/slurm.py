"""`unlearn-audit slurm`: a study as SLURM job arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .machine import tell
from .options import Output, Settings, quiet


def run(
    config: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    settings: Settings = None,
    output: Output = None,
    to: Annotated[Path, typer.Option("--to", help="Folder for the files, seen from every node.")] = Path("slurm"),
    sbatch: Annotated[
        list[str] | None, typer.Option("--sbatch", metavar="OPTION", help="Of each task: --gres=gpu:1. Repeatable.")
    ] = None,
) -> None:
    """Write a study as SLURM job arrays.

    There is one array for the stages that can run side by side, and each waits for the one before. `submit.sh` submits
    them all; nothing is submitted here. All nodes must see the study's folder and the data under the same paths.
    """
    quiet()
    from unlearn_audit.experiment import Study, read_study
    from unlearn_audit.experiment.slurm import write_arrays
    from unlearn_audit.folders import claim_folder

    study = Study.plan(read_study(config, settings=settings or ()), output)
    command = ["unlearn-audit", "run", str(config.resolve()), "--output", str(study.store.root.resolve())]
    command += [part for setting in settings or () for part in ("--set", setting)]
    folder = claim_folder(to, "slurm")
    written = write_arrays(study.stages, folder, name=study.config.name, command=command, options=sbatch or ())
    tell(files=written)
    for path in written:
        typer.echo(path)
