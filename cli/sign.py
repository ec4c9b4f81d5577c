"""`unlearn-audit sign`: vouches for a report after computing every figure again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import quiet


def run(
    folder: Annotated[Path, typer.Argument(help="The report's folder.")],
    key: Annotated[Path, typer.Option(help="Private Ed25519 key in PEM: openssl genpkey -algorithm ed25519.")],
) -> None:
    """Compute every figure again, and sign the report.

    A second auditor signs the same folder with a key of their own. `verify --identity` asks for a signature.
    """
    limit_threads()
    quiet()
    from unlearn_audit.experiment.weights import with_weights
    from unlearn_audit.publishing.checking import verify_published
    from unlearn_audit.saved.signing import sign

    from .progress import TaskProgress

    with TaskProgress() as progress:
        found = with_weights(verify_published(folder, progress=progress), folder, progress)
    found.raise_if_different()
    signer = sign(folder, key)
    tell(folder=folder, key=signer, figures=found.figures)
    typer.echo(f"{found.figures} figures agree; signed as {signer}.")
