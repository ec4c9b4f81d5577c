"""`unlearn-audit report`: what people read, made again from an audit's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.errors import ConfigurationError

from .machine import tell
from .options import DataSettings, load_data, quiet


def run(
    folders: Annotated[list[Path], typer.Argument(help="A report's folder; several are compared in one file.")],
    formats: Annotated[str, typer.Option("--format", help="Of html, md, plots and pdf-ready, with commas.")] = (
        "html,md,plots"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file, where several are compared.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Gives the pictures: a Hub id, a folder, digits.")] = None,
    data_settings: DataSettings = None,
    include_forget_images: Annotated[
        bool, typer.Option("--include-forget-images", help="Embed forgotten images too; they may be personal data.")
    ] = False,
    with_inputs: Annotated[
        bool, typer.Option("--bundle", help="Copy all that the audit was made from into its folder, to move it.")
    ] = False,
    no_images: Annotated[bool, typer.Option("--no-images", help="Embed no images.")] = False,
) -> None:
    """Make a report's HTML, cards and plots again.

    Images are embedded where --data says where they are. A folder with --bundle can be moved alone, and verified there.
    """
    quiet()
    from unlearn_audit.experiment.stages.base import reseal
    from unlearn_audit.folders import claim_file, says
    from unlearn_audit.reporting.choices import PublishChoices
    from unlearn_audit.reporting.folder import compare_folders, render_folder
    from unlearn_audit.saved.bundle import bundle_report

    images = None if data is None or no_images else load_data(data, data_settings)
    choices = PublishChoices(include_forget_ids=True, include_forget_images=include_forget_images)
    if len(folders) == 1:
        if output is not None:
            raise ConfigurationError("Expected --output only where several folders are compared.")
        if with_inputs:
            bundle_report(folders[0])
        written = render_folder(folders[0], images=images, choices=choices, formats=formats.split(","))
        reseal(folders[0])
    else:
        path = claim_file(output or Path("comparison.html"), lambda path: says(path, 'content="unlearn-audit '))
        written = [compare_folders(folders, path, images=images, choices=choices)]
    tell(files=written)
    for path in written:
        typer.echo(path)
