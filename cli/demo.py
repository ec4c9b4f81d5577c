"""`unlearn-audit demo`: the study of examples/digits.yaml."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .options import Output, Settings, quiet
from .run import run_study

Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Most stages side by side; these are short.")]


def run(settings: Settings = None, output: Output = None, jobs: Jobs = 1) -> None:
    """Run a whole study on real images of digits.

    ResNet-8, the least typical quarter of class 8 forgotten, five retrained models: about a minute on two cores. Its
    configuration is what `unlearn-audit init` writes.
    """
    limit_threads()
    quiet()
    from unlearn_audit.experiment import Study, read_study

    with as_file(files("unlearn_audit.examples") / "digits.yaml") as config:
        study = Study.plan(read_study(config, settings=settings or ()), output)
    run_study(study, jobs=jobs)
