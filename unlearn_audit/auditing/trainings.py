"""Whether the original and the retrained models were trained in the same way, by what their predictions say of it.

A retrained model stands for what the original's own training makes of the retain set. Where it was made by a cheaper
recipe, candidates, which come from the original, differ from it by the recipe too, whatever they forgot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from unlearn_audit.auditing.models import AuditSubject

TRAINING = "training"  # in the metadata of predictions: how the model was trained, as a JSON object
_SHOWN = 3  # settings that differ, and models of each value
_LONGEST = 60  # characters of a value


def training_notes(subject: AuditSubject) -> tuple[str, ...]:
    """Say in which settings the original and the references differ, among those of which it is known; else nothing."""
    models = {} if subject.original is None else {"original": subject.original}
    known = {
        name: found
        for name, model in {**models, **subject.references}.items()
        if (found := _settings(model.predictions[0].metadata)) is not None
    }
    settings = dict.fromkeys(setting for found in known.values() for setting in found)
    differing = [text for setting in settings if (text := _difference(setting, known))]
    if not differing:
        return ()
    more = f"; and {len(differing) - _SHOWN} more settings" if len(differing) > _SHOWN else ""
    between = "The original and the references" if "original" in known else "The references"
    return (
        f"{between} were not trained in the same way: {'; '.join(differing[:_SHOWN])}{more}. What follows says as much "
        "about that as about forgetting. Train all by one recipe; a cheaper one will do where the original is "
        "trained by it too.",
    )


def _settings(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Return how a model was trained, if its metadata tell in a way that can be read."""
    try:
        found = json.loads(metadata.get(TRAINING, ""))
    except (ValueError, RecursionError):
        return None
    return {name: value for name, value in found.items() if name.isprintable()} if isinstance(found, dict) else None


def _difference(setting: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which models have which value of a setting; nothing where all that know it have the same."""
    by_value: dict[str, list[str]] = {}
    for name, found in known.items():
        if setting in found:
            by_value.setdefault(json.dumps(found[setting], sort_keys=True), []).append(name)
    if len(by_value) < 2:
        return ""
    shown = (f"{value[:_LONGEST]} ({_named(names)})" for value, names in by_value.items())
    return f"{setting.replace('_', ' ')[:_LONGEST]} {', '.join(shown)}"


def _named(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
