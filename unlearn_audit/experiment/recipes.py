"""Recipes: a finished study's methods as configurations with the values that were found and what was measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.config import StudyConfig
from unlearn_audit.experiment.measured import measure_outcome
from unlearn_audit.experiment.stages import stage_named
from unlearn_audit.experiment.study import Study
from unlearn_audit.files import write_text
from unlearn_audit.folders import claim_file, says

_WIDTH = 120
_FOUND = "with the values that were found there."  # by which a recipe is known


def write_recipes(study: Study, settings: Mapping[str, Any], folder: str | Path, *, command: str) -> list[Path]:
    """Write one configuration a method, and one with all methods, with the values that their searches found.

    Args:
        study: a study that is complete.
        settings: its configuration as keys and values, as a person wrote it.
        folder: for the files `NAME-METHOD.yaml`, and `NAME.yaml` with all methods.
        command: that made the study, for the files' heads.

    Raises:
        ConfigurationError: where the study is not complete, or is itself a recipe, or another file is in the way.
    """
    last = study.stages[-1]
    if not study.store.is_complete(last):
        raise ConfigurationError("Expected a finished study. Run it first: unlearn-audit run, with the same options.")
    if "measured" in settings:
        raise ConfigurationError("Expected a study, got a recipe, which has its `measured` outcome already.")
    report = AuditReport.load(study.store.folder(last) / "report")
    folder = Path(folder)
    names = [study.config.name, *(f"{study.config.name}-{label}" for label in study.config.methods)]
    path, *paths = [claim_file(folder / f"{name}.yaml", _is_recipe) for name in names]
    plain = {key: value for key, value in settings.items() if key not in ("name", "tuning", "methods")}
    methods = {label: _found(study, settings["methods"], label) for label in study.config.methods}
    costs = costs_of(study)
    write_text(path, _text({**plain, "methods": methods}, _head(study, path, command, list(methods))))
    written = [path]
    for path, (label, method) in zip(paths, methods.items(), strict=True):
        outcome = measure_outcome(report, label, seeds=_seeds(study.config), cost=costs[label])
        measured = dataclasses.asdict(outcome)
        content = {**plain, "methods": {label: method}, "measured": measured}
        write_text(path, _text(content, _head(study, path, command, [label])))
        written.append(path)
    return written


def _is_recipe(path: Path) -> bool:
    return says(path, _FOUND)


def _found(study: Study, methods: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Return a method's entry with the values that its search found."""
    entry = dict(methods[label] or {})
    if entry.pop("search", None):
        tuned = study.store.results(stage_named(study.stages, f"tune-{label}"))
        entry["training"] = {**(entry.get("training") or {}), **tuned["found"]}
    return entry


def costs_of(study: Study) -> dict[str, float]:
    """Return the CPU time of each method's models, their mean, as a share of the mean of the retrained models'."""
    results = {stage.name: study.store.results(stage) for stage in study.stages}
    retrained = [found for name, found in results.items() if name.startswith("retrained-")]
    whole = [found["cpu_seconds"] for found in retrained if "cpu_seconds" in found]
    costs: dict[str, list[float]] = {}
    for name, found in results.items():
        label = name.rpartition("-")[0] if study.config.candidates > 1 else name
        if label in study.config.methods:
            costs.setdefault(label, []).append(found["cpu_seconds"])
    return {label: round(fmean(seconds) / fmean(whole), 4) for label, seconds in costs.items()}


def _seeds(config: StudyConfig) -> dict[str, tuple[int, ...]]:
    return {
        "original": (config.seed,),
        "retrained": tuple(config.seed + k for k in range(1, config.num_references + 1)),
        "unlearned": tuple(config.seed + j for j in range(1, config.candidates + 1)),
    }


def _head(study: Study, path: Path, command: str, labels: Sequence[str]) -> list[str]:
    subject = labels[0] if len(labels) == 1 else "All methods"
    lines = [f"{subject} in the study {study.config.name}, {_FOUND}"]
    if len(labels) == 1:
        lines += ["Below `measured` stands what came out; `run` says whether it comes out again."]
    return [*lines, f"  unlearn-audit run {path.name}", f"Made by: {command}"]


def _text(content: Mapping[str, Any], head: Sequence[str]) -> str:
    comment = "".join(f"# {line}\n" for line in head)
    plain = json.loads(json.dumps(content))
    return (
        comment
        + "\n"
        + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=None)
    )


def recipes_in(folder: str | Path) -> Iterator[Path]:
    """Yield the files of a folder that hold a measured outcome."""
    for path in sorted(Path(folder).glob("*.yaml")):
        if "measured" in yaml.safe_load(path.read_text(encoding="utf-8")):
            yield path
