"""`unlearn-audit verify`: does a report still say what its inputs say?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn_audit.errors import ConfigurationError, VerificationError
from unlearn_audit.names import shown
from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import quiet

if TYPE_CHECKING:
    from unlearn_audit.saved.verify import Verification


def run(
    folder: Annotated[str, typer.Argument(help="A report's folder, or hub:user/name[@revision].")],
    forget: Annotated[
        Path | None, typer.Option(help="File of ids: was the published audit of these? Takes --salt.")
    ] = None,
    identity: Annotated[
        list[Path] | None, typer.Option(help="Public key (PEM) that must have signed the report. Repeatable.")
    ] = None,
    retrain: Annotated[
        str | None,
        typer.Option(metavar="one|NAME", help="Train one reference of a study again, or this one: is it among them?"),
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Where a study's data are here, for --retrain.")] = None,
    stamped_by: Annotated[
        Path | None, typer.Option(help="Root certificate (PEM) of the authority that must have stamped the seal.")
    ] = None,
    salt: Annotated[str | None, typer.Option(help="From the publisher's own manifest.json; proves --forget.")] = None,
) -> None:
    """Check a report against its inputs.

    Every hash is checked and every figure computed again; a difference is named, and the exit code is 1. Of a published
    one, card, configuration and weights are fetched and checked too.
    """
    if (forget is None) != (salt is None):
        raise ConfigurationError("Expected --forget and --salt together, got one of them.")
    limit_threads()
    quiet()
    from unlearn_audit.experiment.weights import with_weights
    from unlearn_audit.publishing.checking import auditor_of, check_claim, verify_published
    from unlearn_audit.saved.signing import check_identity
    from unlearn_audit.saved.stamping import check_stamp
    from unlearn_audit.saved.standing import standing

    from .progress import TaskProgress

    audits, named, told = _audits(folder), folder.startswith("hub:"), []
    for local in audits:
        if named:
            typer.echo(f"{local.name}: audited by {shown(auditor_of(local))}")
        with TaskProgress() as progress:
            found = with_weights(verify_published(local, progress=progress), local, progress)
        if retrain is not None:
            found = trained_again(found, local, retrain, data)
        if stamped_by is not None:
            stamped = f"stamped {check_stamp(local, stamped_by):%Y-%m-%d %H:%M:%S} UTC, by {stamped_by.name}"
            found = dataclasses.replace(found, stamped=stamped)
        told.append({"folder": local, "auditor": auditor_of(local) if named else None, **dataclasses.asdict(found)})
        tell(audits=told)
        for sentence in found.not_checked:
            typer.echo(sentence)
        found.raise_if_different()
        typer.echo(f"{found.files} files and {found.figures} figures agree.")
        signers = [check_identity(local, key) for key in identity or ()]
        typer.echo("\n".join(f"{what:<28} {shown(how)}" for what, how in standing(local, found, signers)))
    if forget is not None and salt is not None:
        refuted = check_claim(audits[0], forget, salt)
        tell(claim=refuted is None)
        if refuted:
            raise VerificationError(refuted)
        typer.echo(f"The audit was of the forget set in {forget.name}.")


def trained_again(found: Verification, folder: Path, which: str, data: str | None) -> Verification:
    """Train a reference again, and add what that showed."""
    from unlearn_audit.experiment.spot_check import spot_check

    checked = spot_check(folder, which, data=data)
    differences = () if checked.agrees else (checked.sentence,)
    return dataclasses.replace(found, retrained=checked.sentence, differences=(*found.differences, *differences))


def _audits(folder: str) -> list[Path]:
    """Return the folders of the audits to check: of a repository all, the owner's first."""
    if not folder.startswith("hub:"):
        return [Path(folder)]
    from unlearn_audit.publishing.hub import AUDITED_FILES, audits_in, pull

    return audits_in(pull(folder, only=AUDITED_FILES))
