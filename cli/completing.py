"""What a shell completes where an option takes a name: nothing is imported but names, and of models not even those."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TIMM_MODEL = r"^@register_model\ndef (\w+)\("
_TRANSFORMERS_TABLE = "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES"
_OURS = (*(f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56, 110)), "cnn3", "cnn8", "vit_tiny_patch4")


def names_of(*packages: str) -> Callable[[str], list[str]]:
    """Return what completes the names of plug-ins of packages, for example "methods"."""

    def complete(incomplete: str) -> list[str]:
        import importlib

        found = (importlib.import_module(f"unlearn_audit.{package}").registry.names() for package in packages)
        return _beginning(incomplete, (name for names in found for name in names))

    return complete


def one_of(*choices: str) -> Callable[[str], list[str]]:
    """Return what completes one of these words."""
    return lambda incomplete: _beginning(incomplete, choices)


def model_names(incomplete: str) -> list[str]:
    """Complete an architecture of transformers or timm, read from their source: importing both takes five seconds."""
    return _beginning(incomplete, sorted({*_of_transformers(), *_of_timm(), *_OURS}))


def audit_settings(incomplete: str) -> list[str]:
    """Complete the KEY=VALUE of an audit: its keys, and the names of plug-ins."""
    from dataclasses import fields

    from unlearn_audit.auditing.policy import Policy
    from unlearn_audit.neighbourhood import NeighbourhoodConfig

    parts = {"policy": Policy, "neighbourhood": NeighbourhoodConfig}
    keys = [f"{part}.{each.name}=" for part, kind in parts.items() for each in fields(kind)]
    plugins = {"neighbourhood.proximity=": "proximities", "neighbourhood.strata=": "strata", "measures=": "measures"}
    named = [f"{key}{name}" for key, package in plugins.items() for name in names_of(package)("")]
    return _beginning(incomplete, named if "=" in incomplete else [*keys, "measures=", "title="])


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _of_timm() -> set[str]:
    import re

    files = _source("timm", "models/*.py")
    return {name for file in files for name in re.findall(_TIMM_MODEL, file.read_text(encoding="utf-8"), re.MULTILINE)}


def _of_transformers() -> set[str]:
    import ast

    for file in _source("transformers", "models/auto/modeling_auto.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _TRANSFORMERS_TABLE:
                (pairs,) = (each for each in ast.walk(node.value) if isinstance(each, ast.List))
                return {name for name, _ in ast.literal_eval(pairs)} - {"timm_wrapper"}
    return set()


def _source(package: str, pattern: str) -> list[Path]:
    """Return the files of a package that is not imported, which match; none where it is not installed."""
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec(package)
    return [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob(pattern))
