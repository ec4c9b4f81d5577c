"""`--json` and `--quiet` for every command: one JSON document on standard output, or nothing.

What a command has to say to a program it hands to `tell`, beside what it prints for people.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from unlearn_audit.errors import ConfigurationError, UnlearnAuditError
from unlearn_audit.files import storage_explained
from unlearn_audit.names import shown

SCHEMA_VERSION = 1
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead; docs/machines.md has its keys.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
_told: dict[str, Any] = {}


def tell(**fields: Any) -> None:
    """Add to what `--json` prints under `result`: values that JSON has, dataclasses, paths and arrays."""
    _told.update(fields)


def exit_code(error: UnlearnAuditError) -> int:
    """Return 2 for what is wrong with a command or its configuration, 1 for all else."""
    return 2 if isinstance(error, ConfigurationError) else 1


def for_machines(name: str, run: Callable[..., None]) -> Callable[..., None]:
    """Return the command `run` with the options `--json` and `--quiet`."""
    signature = inspect.signature(run, eval_str=True)

    def action(**options: Any) -> None:
        with storage_explained():
            run(**options)

    def command(as_json: bool, silent: bool, **options: Any) -> None:
        if not (as_json or silent):
            return action(**options)
        os.environ["TQDM_DISABLE"] = "1"  # progress bars go to standard error, which is kept for errors
        with contextlib.redirect_stdout(io.StringIO()):
            code, error = _ended(lambda: action(**options), told=as_json)
        if as_json:
            print(_document(name, code, error))
        raise typer.Exit(code)

    asked = [("as_json", Json), ("silent", Quiet)]
    more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=a) for n, a in asked]
    parameters = [*signature.parameters.values(), *more]
    command.__doc__ = run.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def _ended(action: Callable[[], None], *, told: bool) -> tuple[int, UnlearnAuditError | None]:
    """Run a command; return its exit code and, where errors are `told`, the one that it ended with."""
    _told.clear()
    try:
        action()
    except typer.Exit as end:
        return end.exit_code, None
    except UnlearnAuditError as error:
        if not told:
            raise
        return exit_code(error), error
    return 0, None


def _document(name: str, code: int, error: UnlearnAuditError | None) -> str:
    from pydantic_core import to_jsonable_python

    document = {
        "schema_version": SCHEMA_VERSION,
        "command": name,
        "exit_code": code,
        "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
        "result": to_jsonable_python(_told, inf_nan_mode="null", fallback=_plain),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)


def _plain(value: Any) -> Any:
    """Return an array, or a number of numpy's, as JSON has it; anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def tell_error(error: UnlearnAuditError) -> None:
    """Print an error for people and end; in red where that is shown and wanted (https://no-color.org)."""
    plain = "NO_COLOR" in os.environ
    typer.secho(f"Error: {shown(str(error))}", err=True, fg=None if plain else "red")
    sys.exit(exit_code(error))
