"""`unlearn-audit seal`: settles what an audit will rest on, before any candidate is seen."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from unlearn_audit.errors import ConfigurationError

from .machine import tell
from .options import AuditSettings, DataSettings, MaybeData


def run(
    reference: Annotated[
        list[str],
        typer.Option(metavar="[NAME=]FILE", help="A retrained model's predictions, named as `audit` takes them."),
    ],
    forget: Annotated[
        str,
        typer.Option(
            help="Ids of the forget set, or with --data file names: txt, csv, json or parquet, here or hf://…."
        ),
    ],
    original: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="The original model's predictions.")
    ] = None,
    untrained: Annotated[str | None, typer.Option(help="An untrained model's predictions.")] = None,
    embeddings: Annotated[str | None, typer.Option(help="File with example_id and embedding.")] = None,
    proximities: Annotated[str | None, typer.Option(help="File with example_id and proximity.")] = None,
    columns: Annotated[str | None, typer.Option(help="File with example_id and neighbourhood.column.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with policy, neighbourhood and measures.")] = None,
    data: MaybeData = None,
    data_settings: DataSettings = None,
    settings: AuditSettings = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path("seal.json"),
) -> None:
    """Settle an audit before any candidate is seen.

    The seal holds policy and settings, the hashes of what references and original predict, and a salted commitment to
    the forget set. Give it, or its SHA-256, to somebody else; then unlearn, and `unlearn-audit audit --seal seal.json`.
    """
    from unlearn_audit.experiment.config import read_audit
    from unlearn_audit.files import sha256, write_text
    from unlearn_audit.saved.request import AuditRequest
    from unlearn_audit.saved.sealing import Seal

    from .sources import Source

    if output.exists():
        raise ConfigurationError(f"{output} is there already, and a seal is never written over. Give another name.")
    chosen = read_audit(config, settings=settings or ())
    with TemporaryDirectory() as folder:
        inputs = Source(Path(folder), data, data_settings).inputs(
            chosen,
            reference=reference,
            forget=forget,
            original=original,
            untrained=untrained,
            embeddings=embeddings,
            proximities=proximities,
            columns=columns,
        )
        write_text(output, Seal.of(AuditRequest(candidates={}, **inputs), Path()).to_json())
    tell(seal=output, sha256=sha256(output))
    typer.echo(
        f"Wrote {output}, SHA-256 {sha256(output)}. It holds a salt: show it to whom you would show the forget set."
    )
