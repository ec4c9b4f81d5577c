"""`unlearn-audit recipes`: a finished study's methods as configurations that others can run again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .machine import tell
from .options import Output, Settings, quiet


def run(
    config: Annotated[Path, typer.Argument(help="The YAML file of a study that `unlearn-audit run` has finished.")],
    settings: Settings = None,
    output: Output = None,
    to: Annotated[Path, typer.Option("--to", help="Folder for the recipes.")] = Path("recipes"),
) -> None:
    """Write a finished study's methods as recipes.

    There is one file a method, and one with all of them.
    A recipe holds the learning rate and number of epochs that tuning found, and the outcome that was measured, with its
    spread, seeds, versions and machine. `unlearn-audit run RECIPE` says whether the outcome comes out again.
    """
    quiet()
    from unlearn_audit.experiment import Study, read_study
    from unlearn_audit.experiment.config import read_settings
    from unlearn_audit.experiment.recipes import write_recipes

    settings = settings or []
    study = Study.plan(read_study(config, settings=settings), output)
    kept = [setting for setting in settings if not setting.startswith(("data.source=", "data.cache_dir="))]
    command = ["unlearn-audit", "recipes", config.name, *(part for setting in kept for part in ("--set", setting))]
    written = write_recipes(study, read_settings(config, settings=settings), to, command=shlex.join(command))
    tell(files=written)
    for path in written:
        typer.echo(path)
