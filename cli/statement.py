"""`unlearn-audit statement`: two pages on a report for a data-protection officer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.processes import limit_threads

from .machine import tell
from .options import quiet


def run(
    folder: Annotated[Path, typer.Argument(help="The report's folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PDF to write; the Markdown goes beside it.")] = Path(
        "statement.pdf"
    ),
    candidate: Annotated[
        str | None, typer.Option(help="The model to speak of; without it all, the worst first.")
    ] = None,
    identity: Annotated[
        list[Path] | None, typer.Option(help="Public key (PEM) that must have signed the report. Repeatable.")
    ] = None,
) -> None:
    """Say in two pages what was deleted and found.

    For a data-protection officer: what was deleted, how it was tested, what was found and may be claimed, what was not
    tested, who signed, and what rests on trust, by the articles that ask for it. Every figure is computed again first.
    It is no legal advice, and tells no more of who was forgotten than `push` publishes.
    """
    limit_threads()
    quiet()
    from unlearn_audit.errors import ConfigurationError
    from unlearn_audit.experiment.weights import with_weights
    from unlearn_audit.files import write_text
    from unlearn_audit.folders import claim_file, says
    from unlearn_audit.publishing.checking import verify_published
    from unlearn_audit.publishing.statement import TITLE, statement_of
    from unlearn_audit.reporting.statement import statement_markdown
    from unlearn_audit.reporting.statement_pdf import write_pdf
    from unlearn_audit.saved.signing import check_identity

    from .progress import TaskProgress

    if output.suffix.lower() != ".pdf":
        raise ConfigurationError(f"Expected --output to end in .pdf, got {output.name!r}.")
    pdf = claim_file(output, lambda path: says(path, "%PDF-"))
    text = claim_file(output.with_suffix(".md"), lambda path: says(path, TITLE))
    with TaskProgress() as progress:
        found = with_weights(verify_published(folder, progress=progress), folder, progress)
    found.raise_if_different()
    signers = [check_identity(folder, key) for key in identity or ()]
    statement = statement_of(folder, found, signers=signers, candidate=candidate)
    write_pdf(statement, pdf)
    write_text(text, statement_markdown(statement))
    tell(files=[pdf, text])
    typer.echo(f"{pdf}\n{text}")
