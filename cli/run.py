"""`unlearn-audit run`: a whole study, from its configuration to its report."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import imports_frozen, limit_threads

from .completing import names_of
from .machine import tell
from .options import Output, Settings, quiet

if TYPE_CHECKING:
    from unlearn_audit.experiment.config import PushConfig
    from unlearn_audit.experiment.measured import Measured
    from unlearn_audit.experiment.stages import Stage
    from unlearn_audit.experiment.study import Study
    from unlearn_audit.experiment.yaml_source import Source

Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        autocompletion=names_of("experiment.engines"),
        help="What runs the stages: processes, serial, or ray (pip install 'unlearn-audit[ray]').",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Most stages side by side on this machine. [default: what free cores and memory allow]",
    ),
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option(
        "--report-to",
        metavar="TRACKER",
        help="Log trainings and the audit to trackio, tensorboard or wandb. Repeatable; none switches it off.",
    ),
]


def run(
    config: Annotated[Path, typer.Argument(help="The study's YAML file; `unlearn-audit init` writes one.")],
    settings: Settings = None,
    output: Output = None,
    engine: Engine = "processes",
    jobs: Jobs = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Do only this stage and what it needs.")] = None,
    report_to: ReportTo = None,
    print_stages: Annotated[
        bool,
        typer.Option("--print-stages", help="Print a command for each stage, with its state; do nothing."),
    ] = False,
) -> None:
    """Run the study that CONFIG describes.

    It trains, unlearns, predicts and audits. What is done already is not done again, and a run that was
    killed goes on where it was. The last lines show the report's table and where report.html is.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigurationError(
            "Expected one process for a whole study, got several. Use --engine ray, or several processes for one step: "
            "accelerate launch -m unlearn_audit.cli train ..."
        )
    limit_threads()
    quiet()
    from unlearn_audit.experiment import Study
    from unlearn_audit.experiment.checking import build
    from unlearn_audit.experiment.config import StudyConfig, study_source

    source = tracked(study_source(config, settings=settings or ()), report_to)
    study = Study.plan(build(source, StudyConfig), output, places=source.places)
    if print_stages:
        tell(stages=[_told_stage(study, stage) for stage in study.stages])
        typer.echo("\n".join(stage_lines(study, config, settings or [], output)))
        return
    run_study(study, engine=engine, jobs=jobs, only=stage)


def tracked(source: Source, report_to: list[str] | None) -> Source:
    """Put `--report-to` over what a configuration says."""
    from unlearn_audit.experiment.yaml_source import override

    return override(source, [f"report_to=[{', '.join(report_to)}]"], flag="--report-to") if report_to else source


def _told_stage(study: Study, stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "done": study.store.is_complete(stage),
        "needs": [need.name for need in stage.needs.values()],
        "folder": study.store.folder(stage),
    }


def run_study(study: Study, *, engine: str = "processes", jobs: int | None = None, only: str | None = None) -> None:
    """Run a study with its progress in the terminal, and show its result."""
    from .progress import StageProgress

    with StageProgress(study.stages) as progress, imports_frozen():
        study.run(engine=engine, jobs=jobs, only=only, progress=progress)
    if only is None:
        from .tables import show_study

        show_study(study.store.root / "report")
        if study.config.measured is not None:
            show_agreement(study, study.config.measured)
        if study.config.push is not None:
            push_study(study, study.config.push)


def push_study(study: Study, config: PushConfig) -> None:
    """Publish as the configuration says, unless this very report was pushed there before."""
    from unlearn_audit.files import write_text
    from unlearn_audit.publishing.hub import Destination
    from unlearn_audit.reporting.choices import PublishChoices

    from .push import publish

    record = study.store.root / "pushed.txt"
    what = f"{study.stages[-1].hash} {config}"
    if record.is_file() and record.read_text(encoding="utf-8") == what:
        typer.echo(f"This report was pushed to {config.repo_id} before.")
        return
    names = ("candidate", "license", "base_model", "allow_failing")
    choices = PublishChoices(**{name: getattr(config, name) for name in names})
    destination = Destination(config.repo_id, private=config.private, revision=config.revision)
    publish(study.store.root / "report", destination, choices)
    write_text(record, what)


def show_agreement(study: Study, measured: Measured) -> None:
    """Say whether a recipe's figures came out again."""
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.experiment.measured import differences

    (label,) = study.config.methods
    found = differences(AuditReport.load(study.store.root / "report"), label, measured)
    tell(differences_from_recipe=found)
    if found:
        typer.echo("The recipe measured something else:\n  " + "\n  ".join(found))
    else:
        typer.echo("All ratios are within the spread that the recipe states.")


def stage_lines(study: Study, config: Path, settings: list[str], output: Path | None) -> list[str]:
    """Return one line a stage: the command that does it, and as a comment its state, folder and needs."""
    command = ["unlearn-audit", "run", str(config)]
    command += [part for setting in settings for part in ("--set", setting)]
    command += ["--output", str(output)] if output else []
    lines = []
    for stage in study.stages:
        state = "done" if study.store.is_complete(stage) else "to do"
        needs = ", ".join(need.name for need in stage.needs.values()) or "nothing"
        text = shlex.join([*command, "--stage", stage.name])
        lines.append(f"{text}  # {state}; needs {needs}; {study.store.folder(stage)}")
    return lines
