"""`unlearn-audit push`: publishes a model with its audit on the Hub, in one commit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .machine import tell
from .options import DataSettings, MaybeData, load_data, quiet

if TYPE_CHECKING:
    from unlearn_audit.data import ImageData
    from unlearn_audit.publishing.hub import Destination, PushResult
    from unlearn_audit.reporting.choices import PublishChoices


def run(
    folder: Annotated[Path, typer.Argument(help="The report's folder.")],
    repo_id: Annotated[str, typer.Option("--repo-id", help="user/name on the Hub.")],
    candidate: Annotated[str | None, typer.Option(help="Which candidate; needed where there are several.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Folder of the candidate's model, or hub:USER/NAME[@REVISION]. [default: that of the study]"),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a private repository, if it is new.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Put your audit of somebody's model into a pull request there.")
    ] = False,
    license: Annotated[
        str | None, typer.Option(help="For the card. [default: what the model's card, or its base model's, says]")
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option(help="Hub id of the model before unlearning; '' names none. [default: where it was loaded from]"),
    ] = None,
    new_version: Annotated[str | None, typer.Option(help="Hub id of the model that replaces this one.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Hub id of the data, for the card. Repeatable.")] = None,
    dataset_revision: Annotated[str | None, typer.Option(help="Commit of the data, for the Hub's results.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="For the card's metadata. Repeatable.")] = None,
    include_forget_ids: Annotated[
        bool, typer.Option("--include-forget-ids", help="Publish who was forgotten, and all predictions.")
    ] = False,
    include_forget_images: Annotated[
        bool, typer.Option("--include-forget-images", help="Show pictures of --data in the report, forgotten ones too.")
    ] = False,
    data: MaybeData = None,
    data_settings: DataSettings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be pushed; push nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Push without a verdict too.")] = False,
    unknown_weights: Annotated[
        bool, typer.Option("--unknown-weights", help="Push where the audit does not say which weights it saw.")
    ] = False,
    allow_failing: Annotated[
        bool, typer.Option("--allow-failing", help="Push a model that failed too; its card says so first.")
    ] = False,
    accept_exposure: Annotated[
        bool, typer.Option("--accept-exposure", help="Publish figures and links that tell who was forgotten too.")
    ] = False,
) -> None:
    """Publish a candidate with its audit on the Hub.

    Weights, configuration, card and report go into one commit. Who was forgotten stays here. Every figure is computed
    again first: a report that was edited is not published, whatever is forced. Attacks are run on what would be
    published, and what tells who was forgotten is left out.
    """
    quiet()
    from unlearn_audit.publishing.hub import Destination
    from unlearn_audit.reporting.choices import PublishChoices

    choices = PublishChoices(
        candidate=candidate,
        force=force,
        unknown_weights=unknown_weights,
        include_forget_ids=include_forget_ids,
        include_forget_images=include_forget_images,
        allow_failing=allow_failing,
        accept_exposure=accept_exposure,
        license=license,
        base_model=base_model,
        new_version=new_version,
        datasets=tuple(dataset or ()),
        dataset_revision=dataset_revision,
        tags=tuple(tag or ()),
    )
    from .sources import model_folder

    images = load_data(data, data_settings) if include_forget_images else None
    destination = Destination(repo_id, private=private, revision=revision, create_pr=create_pr)
    publish(folder, destination, choices, model=model_folder(model) if model else None, images=images, dry_run=dry_run)


def publish(
    folder: Path,
    destination: Destination,
    choices: PublishChoices,
    *,
    model: Path | None = None,
    images: ImageData | None = None,
    dry_run: bool = False,
) -> PushResult:
    """Publish, and say what."""
    from unlearn_audit.experiment.study import model_folder_of
    from unlearn_audit.publishing.hub import push

    from .progress import TaskProgress

    with TaskProgress() as progress:
        pushed = push(
            folder,
            destination,
            model_folder=model or (None if destination.create_pr else model_folder_of(folder, choices.candidate)),
            choices=choices,
            images=images,
            dry_run=dry_run,
            progress=progress,
        )
    tell(
        repo_id=pushed.repo_id,
        files=pushed.files,
        withheld=pushed.withheld,
        exposures=pushed.exposures,
        commit=pushed.commit,
        url=pushed.url,
        inferred=pushed.inferred,
    )
    for path, size in pushed.files.items():
        typer.echo(f"{size:>12,} bytes  {path}")
    for sentence in pushed.withheld:
        typer.echo(f"Kept here: {sentence}")
    for exposure in pushed.exposures:
        typer.echo(f"Attack: {exposure}")
    for name, value in pushed.inferred.items():
        typer.echo(f"The card names {name}: {value}")
    typer.echo(f"Pushed to {pushed.url}" if pushed.url else "Nothing was pushed.")
    return pushed
