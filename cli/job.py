"""`unlearn-audit job`: a study as a Hugging Face Job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .machine import tell
from .options import Settings


def run(
    config: Annotated[Path, typer.Argument(help="The study's YAML file.")],
    settings: Settings = None,
    bucket: Annotated[str | None, typer.Option(help="USER/NAME of a bucket that keeps the stages.")] = None,
    flavor: Annotated[str, typer.Option(help="Of the hardware: `hf jobs hardware` lists them.")] = "cpu-upgrade",
    timeout: Annotated[str, typer.Option(help="After which the job is stopped.")] = "4h",
    package: Annotated[
        str | None, typer.Option(help="What uv installs, such as the address of a wheel. [default: this version]")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The script. [default: NAME_job.py]")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Start it now.")] = False,
) -> None:
    """Write a study as one script for Hugging Face Jobs.

    `hf jobs uv run SCRIPT` starts it, and so does --submit. With --bucket, a job that ended too early goes on where it
    was when it is started again, and what it made stays there.
    """
    import yaml

    from unlearn_audit.experiment import read_study
    from unlearn_audit.experiment.config import override, read_yaml
    from unlearn_audit.experiment.hf_jobs import PACKAGE, Job
    from unlearn_audit.files import write_text
    from unlearn_audit.folders import claim_file, says
    from unlearn_audit.remote.faults import explained

    name = read_study(config, settings=settings or ()).name
    study = yaml.safe_dump({**override(read_yaml(config), settings or ()).content, "name": name}, sort_keys=False)
    job = Job(name=name, study=study, flavor=flavor, timeout=timeout, bucket=bucket, package=package or PACKAGE)
    path = output or Path(f"{name}_job.py")
    claim_file(path, lambda there: says(there, "# [tool.hf-jobs]"))
    write_text(path, job.script())
    tell(file=path, report=job.report)
    if not submit:
        typer.echo(f"Wrote {path}. Next: hf jobs uv run {path}")
        return
    with explained(bucket or name):
        started = job.submit()
    tell(id=started.id, url=started.url)
    typer.echo(f"Started {started.id}: {started.url}")
