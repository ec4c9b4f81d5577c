"""`unlearn-audit audit`: an audit from files of predictions alone."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.processes import limit_threads

from .options import Data, DataSettings, Settings, load_data, quiet

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport
    from unlearn_audit.saved.request import ModelFiles


class FailOn(StrEnum):
    """Which verdicts make the exit code 3."""

    fail = "fail"
    inconclusive = "inconclusive"


Files = list[str]


def run(
    candidate: Annotated[
        Files,
        typer.Option(
            metavar="[NAME=]FILE",
            help="An unlearned model's file, or hub:USER/NAME to predict --data with; repeat a NAME for its seeds.",
        ),
    ],
    reference: Annotated[Files, typer.Option(metavar="[NAME=]FILE", help="A retrained model; give at least 3.")],
    forget: Annotated[Path, typer.Option(help="Ids of the forget set: txt, csv, json or parquet.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = Path("report"),
    original: Annotated[
        Files | None,
        typer.Option(metavar="FILE", help="The original model; its embeddings are the space. Repeat for several."),
    ] = None,
    untrained: Annotated[Path | None, typer.Option(help="An untrained model.")] = None,
    embeddings: Annotated[Path | None, typer.Option(help="File with example_id and embedding instead.")] = None,
    proximities: Annotated[Path | None, typer.Option(help="File with example_id and proximity instead.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with title, policy, neighbourhood and measures, as in a study's.")
    ] = None,
    data: Data = "digits",
    data_settings: DataSettings = None,
    settings: Settings = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 3 on this verdict or a worse one.")] = None,
) -> None:
    """Audit from files of predictions alone.

    Files hold example_id, label, and logits or probabilities, as Parquet, .npz or .csv, from any framework. --set takes
    policy.KEY, neighbourhood.KEY, measures and title, for example --set policy.alpha=0.01. The report's folder is new,
    empty, or holds an earlier report, which is replaced.
    """
    limit_threads()
    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.folders import claim_folder
    from unlearn_audit.names import checked_name
    from unlearn_audit.reporting.folder import render_folder
    from unlearn_audit.saved.request import AuditRequest, ModelFiles
    from unlearn_audit.saved.running import REPORT, run_audit, save_audit

    from .progress import TaskProgress
    from .tables import show_report

    chosen = read_audit(config, settings=settings or ())
    for name in (*model_files(candidate), *model_files(reference)):
        checked_name(name, "a model")
    claim_folder(output, REPORT)
    request = AuditRequest(
        candidates=model_files(_fetched(candidate, output, data, data_settings)),
        references=model_files(reference),
        forget=str(forget),
        original=ModelFiles(tuple(original)) if original else None,
        untrained=one_model(untrained),
        embeddings=_path(embeddings),
        proximities=_path(proximities),
        neighbourhood=chosen.neighbourhood,
        policy=chosen.policy,
        measures=chosen.measures,
        title=chosen.title,
    )
    with TaskProgress() as progress:
        found = run_audit(request, progress=progress)
    save_audit(found, request, output)
    render_folder(output)
    show_report(found.report, output)
    if fail_on and failed(found.report, fail_on):
        raise typer.Exit(3)


def failed(report: AuditReport, fail_on: FailOn) -> bool:
    """Whether some candidate's verdict is `fail_on` or worse."""
    bad = {"fail"} if fail_on is FailOn.fail else {"fail", "inconclusive"}
    return any(verdict.outcome in bad for verdict in report.verdicts.values())


def model_files(named: Sequence[str]) -> dict[str, ModelFiles]:
    """Return the files of each model by name; NAME=FILE names it, FILE alone is named as the file is.

    Raises:
        ConfigurationError: where two files without a NAME have the same one.
    """
    from unlearn_audit.saved.request import ModelFiles

    found: dict[str, list[str]] = {}
    for item in named:
        name, equals, path = item.rpartition("=")
        if not equals and Path(path).stem in found:
            raise ConfigurationError(
                f"Expected each model under its own name, got {Path(path).stem!r} twice. Write NAME={path}."
            )
        found.setdefault(name if equals else Path(path).stem, []).append(path)
    return {name: ModelFiles(tuple(paths)) for name, paths in found.items()}


def _fetched(named: Sequence[str], output: Path, data: str, data_settings: list[str] | None) -> list[str]:
    """Replace each hub:USER/NAME by a file with that model's predictions on the data, beside the report."""
    items = []
    for item in named:
        name, _, path = item.rpartition("=")
        if path.startswith("hub:"):
            name = name or path.rpartition("/")[2]
            path = str(_predicted(path, output / "predictions" / f"{name}.parquet", data, data_settings))
            item = f"{name}={path}"
        items.append(item)
    return items


def _predicted(repo_id: str, path: Path, data: str, data_settings: list[str] | None) -> Path:
    quiet()
    from unlearn_audit.models import load_model, predict
    from unlearn_audit.publishing.hub import pull
    from unlearn_audit.saved.verify import MODEL_FILES

    images = load_data(data, data_settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    predict(load_model(pull(repo_id, only=MODEL_FILES)), images, model_id=repo_id).save(path)
    return path


def one_model(path: Path | None) -> ModelFiles | None:
    """Return the files of a model that has one, or None."""
    from unlearn_audit.saved.request import ModelFiles

    return None if path is None else ModelFiles((str(path),))


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)
