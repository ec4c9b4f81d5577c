"""`unlearn-audit init`: writes a commented configuration."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.files import write_text

from .machine import tell


def run(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    example: Annotated[str, typer.Option("--example", help="Which study or recipe to start from.")] = "digits",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented configuration to start from."""
    configurations = dict(_configurations())
    if example not in configurations:
        raise ConfigurationError(f"There is no example {example!r}.{did_you_mean(example, configurations)}")
    if path.exists() and not force:
        raise ConfigurationError(f"{path} is there already. Give another name, or --force to write over it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, configurations[example].read_text(encoding="utf-8"))
    tell(file=path)
    typer.echo(f"Wrote {path}. Next: unlearn-audit run {path}")


def _configurations() -> Iterator[tuple[str, Traversable]]:
    """Yield the name and the file of each study and recipe."""
    folder = files("unlearn_audit.examples")
    for place in (folder, folder / "studies", folder / "recipes"):
        for entry in place.iterdir():
            if entry.name.endswith(".yaml"):
                yield entry.name.removesuffix(".yaml"), entry
