"""The `unlearn-audit` command. Each command is the function `run` in the file of its name."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from importlib.abc import InspectLoader
from typing import Annotated

import typer

from unlearn_audit import __version__, cli
from unlearn_audit.errors import UnlearnAuditError

from .machine import for_machines, tell_error

# The order of `--help`: first the whole way, then its steps, what is done with a report, checks, lists of plug-ins. A
# command that is not named here comes after these.
ORDER = (
    *("demo", "init", "schema", "run"),
    *("forget", "train", "unlearn", "predict", "plan", "seal", "audit"),
    *("verify", "sign", "statement", "report", "push", "ledger"),
    *("recipes", "leaderboard", "benchmark", "selftest", "calibrate"),
    *("slurm", "job"),
    *("methods", "measures", "neighbourhoods"),
)
_RUN = re.compile(r"^def run\(", re.MULTILINE)


def command_names() -> tuple[str, ...]:
    """Return the names of all commands: of the files here that define `run`. None of them is imported."""
    found = [module.name for module in pkgutil.iter_modules(cli.__path__) if _defines_run(module)]
    return tuple(sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)))


def _defines_run(module: pkgutil.ModuleInfo) -> bool:
    """Look into the source, because importing the other files here would import rich, and help would be slow."""
    spec = module.module_finder.find_spec(module.name, None)
    source = spec.loader.get_source(module.name) if spec and isinstance(spec.loader, InspectLoader) else None
    return source is not None and _RUN.search(source) is not None


def add_commands(to: typer.Typer) -> None:
    """Add every command: the function `run` of the file of its name."""
    for name in command_names():
        to.command(name)(for_machines(name, importlib.import_module(f"{cli.__name__}.{name}").run))


app = typer.Typer(
    name="unlearn-audit",
    help="How far is an unlearned model from a retrained one, by proximity to the forget set?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help without importing rich is three times as fast
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_commands(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"unlearn-audit {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; exits with 0, 1 (error), 2 (usage), 3 (audit --fail-on) or 130 (Ctrl-C)."""
    try:
        app()
    except UnlearnAuditError as error:
        tell_error(error)
    except KeyboardInterrupt:
        typer.secho("Stopped. The same command goes on from here.", err=True)
        sys.exit(130)
