"""`unlearn-audit schema`: the JSON Schema of configurations, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.files import write_text

from .machine import tell


def run(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write. [default: print it]")] = None,
) -> None:
    """Print the JSON Schema of a study's configuration.

    With `# yaml-language-server: $schema=study.schema.json` as the first line of a study, editors complete its keys and
    mark what is wrong.
    """
    from unlearn_audit.experiment.schema import study_schema

    schema = study_schema()
    tell(schema=schema)
    text = json.dumps(schema, indent=2)
    if output is None:
        typer.echo(text)
    else:
        write_text(output, text + "\n")
        typer.echo(f"Wrote {output}.")
