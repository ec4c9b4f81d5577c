"""Fills in templates: the files in `templates/`, and the fragments that sections hold."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = "unlearn_audit.reporting.templates"


def template_text(name: str) -> str:
    """Return the text of a file in `templates/`."""
    return resources.files(TEMPLATES).joinpath(name).read_text(encoding="utf-8")


def environment(*, escape: bool) -> Environment:
    """Return the jinja2 environment of the templates; `escape` escapes all that is filled in for HTML."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(template_text),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def page_environment() -> Environment:
    """Return the environment of the HTML report, with the macros of `macros.html.j2` in every template."""
    found = environment(escape=True)
    macros = found.get_template("macros.html.j2").module
    found.globals.update({name: value for name, value in vars(macros).items() if not name.startswith("_")})
    return found


def fragment(template: str, **values: Any) -> Markup:
    """Return a piece of the page: `template` is jinja2 with the page's macros; values are escaped."""
    from markupsafe import Markup

    return Markup(page_environment().from_string(template).render(values))
