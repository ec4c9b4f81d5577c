"""Engines run the stages of a study. One file is one engine: a function of stages, store and progress."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.registry import Registry

registry = Registry("unlearn_audit.experiment.engines", "engine")
_WITH_JOBS = "processes"  # the engine that takes `jobs`


def engine_named(name: str, jobs: int | None = None) -> Callable[..., Any]:
    """Return the engine called `name`, which runs at most `jobs` stages side by side where that is given.

    Raises:
        ConfigurationError: where there is none, or it takes no `jobs`.
    """
    engine: Callable[..., Any] = registry.load(name)
    if jobs is None:
        return engine
    if name != _WITH_JOBS:
        raise ConfigurationError(f"Expected no --jobs with the engine {name!r}, got {jobs}: {_WITH_JOBS!r} takes them.")
    return partial(engine, jobs=jobs)
