"""The `unlearn-audit` command. Each command is the function `run` in the file of its name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from unlearn_audit import __version__
from unlearn_audit.errors import ConfigurationError, UnlearnAuditError

from . import (
    audit,
    calibrate,
    demo,
    init,
    measures,
    methods,
    neighbourhoods,
    predict,
    push,
    recipes,
    report,
    run,
    selftest,
    train,
    unlearn,
    verify,
)

app = typer.Typer(
    name="unlearn-audit",
    help="How far is an unlearned model from a retrained one, by proximity to the forget set?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help without importing rich is three times as fast
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    *(demo, init, run),
    *(train, unlearn, predict, audit),
    *(verify, report, push),
    *(recipes, selftest, calibrate),
    *(methods, measures, neighbourhoods),
)
for _command in COMMANDS:
    app.command(_command.__name__.rpartition(".")[2])(_command.run)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"unlearn-audit {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exits with 0, 1 (error), 2 (usage), 3 (audit --fail-on) or 130 (Ctrl-C)."""
    try:
        app()
    except UnlearnAuditError as error:
        typer.secho(f"Error: {error}", err=True, fg="red")
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except KeyboardInterrupt:
        typer.secho("Stopped. The same command goes on from here.", err=True)
        sys.exit(130)
