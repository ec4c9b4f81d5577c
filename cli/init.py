"""`unlearn-audit init`: writes a commented configuration."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.errors import ConfigurationError, did_you_mean


def run(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    example: Annotated[str, typer.Option("--example", help="Which study to start from.")] = "digits",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented configuration to start from."""
    folder = files("unlearn_audit.examples")
    configurations = {entry.name[:-5]: entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    if example not in configurations:
        raise ConfigurationError(f"There is no example {example!r}.{did_you_mean(example, configurations)}")
    if path.exists() and not force:
        raise ConfigurationError(f"{path} is there already. Give another name, or --force to write over it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(configurations[example].read_text(encoding="utf-8"), encoding="utf-8")
    typer.echo(f"Wrote {path}. Next: unlearn-audit run {path}")
