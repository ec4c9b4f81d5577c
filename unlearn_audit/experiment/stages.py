"""A stage: one piece of a study, in a folder named by the hash of all that decides its result.

A stage is complete once its folder holds `manifest.json`, which is written last and by renaming. Until then
the folder may hold anything, and the next run goes on from it. A lock for each stage keeps two runs in one
folder apart.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from unlearn_audit import __version__
from unlearn_audit.errors import ConfigurationError, did_you_mean

MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class Stage:
    """One piece of a study.

    Args:
        name: unique within its study, for example "retrained-1".
        kind: what sort of stage it is; the beginning of its folder's name.
        work: "module:function" that does it; gets a `Work`, returns results for the manifest (JSON).
        inputs: what decides its result, as JSON. Nothing else may.
        settings: what it needs besides and does not change its result: where the data are, a name to show.
        needs: the stages whose folders it reads, by role.
    """

    name: str
    kind: str
    work: str
    inputs: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Stage] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """SHA-256, in hex, over the kind, the inputs, the needs' hashes and this package's version."""
        needs = {role: stage.hash for role, stage in self.needs.items()}
        parts = {"kind": self.kind, "inputs": self.inputs, "needs": needs, "version": __version__}
        text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Name of the stage's folder: its kind and the first 16 digits of its hash."""
        return f"{self.kind}-{self.hash[:16]}"


class Listener(Protocol):
    """Is told how a run goes."""

    def started(self, stage: Stage) -> None:
        """`stage` begins, or goes on where a killed run left it."""

    def waiting(self, stage: Stage) -> None:
        """Another run is at `stage`, and there is nothing else to do."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """`stage` has done `done` of `total` steps."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """`stage` is complete."""


class Silence:
    """A listener that says nothing."""

    def started(self, stage: Stage) -> None:
        """Say nothing."""

    def waiting(self, stage: Stage) -> None:
        """Say nothing."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """Say nothing."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Work:
    """What the function behind a stage gets: the stage, its folder, and the folders of what it needs."""

    stage: Stage
    folder: Path
    needs: Mapping[str, Path]
    advanced: Callable[[int, int], None]

    def results_of(self, role: str) -> Mapping[str, Any]:
        """Return what the stage in this role returned when it was done."""
        return json.loads((self.needs[role] / MANIFEST).read_text(encoding="utf-8"))["results"]


@dataclass(frozen=True)
class Outcome:
    """How a stage came to be complete: by this run in `seconds`, or already (`reused`)."""

    reused: bool
    seconds: float


@dataclass(frozen=True)
class Store:
    """The folder of a study's stages; several runs, also of different studies, may share one."""

    root: Path

    def folder(self, stage: Stage) -> Path:
        """Return the folder of a stage, whether it exists or not."""
        return self.root / "stages" / stage.folder_name

    def manifest(self, stage: Stage) -> Mapping[str, Any] | None:
        """Return the manifest of a complete stage; None where it is not complete or a file of it is gone."""
        folder = self.folder(stage)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        files = manifest["files"].items()
        return manifest if all(_size(folder / name) == entry["bytes"] for name, entry in files) else None

    def is_complete(self, stage: Stage) -> bool:
        """Whether the stage is done and its files are there."""
        return self.manifest(stage) is not None

    def lock(self, stage: Stage) -> FileLock:
        """Return the stage's lock; the operating system frees it when its holder dies."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{stage.folder_name}.lock")


def run_stage(stage: Stage, store: Store, listener: Listener | None = None, *, wait: bool = True) -> Outcome | None:
    """Do a stage whose needs are complete, unless it is complete already.

    Returns:
        How it came to be complete; None where `wait` is False and another run is at it.
    """
    listener = listener or Silence()
    try:
        with store.lock(stage).acquire(timeout=-1 if wait else 0):
            complete = store.is_complete(stage)
            outcome = Outcome(reused=True, seconds=0.0) if complete else _do(stage, store, listener)
    except Timeout:
        return None
    listener.finished(stage, outcome)
    return outcome


def _do(stage: Stage, store: Store, listener: Listener) -> Outcome:
    folder = store.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    listener.started(stage)
    begin = time.perf_counter()
    module, _, function = stage.work.partition(":")
    work = Work(
        stage=stage,
        folder=folder,
        needs={role: store.folder(need) for role, need in stage.needs.items()},
        advanced=lambda done, total: listener.advanced(stage, done, total),
    )
    results = getattr(importlib.import_module(module), function)(work)
    seconds = time.perf_counter() - begin
    _write_manifest(stage, folder, results, seconds)
    return Outcome(reused=False, seconds=seconds)


def _write_manifest(stage: Stage, folder: Path, results: Mapping[str, Any], seconds: float) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "name": stage.name,
        "kind": stage.kind,
        "hash": stage.hash,
        "inputs": stage.inputs,
        "needs": {role: need.folder_name for role, need in stage.needs.items()},
        "results": results,
        "files": {path.relative_to(folder).as_posix(): _entry(path) for path in paths},
        "seconds": round(seconds, 3),
        "version": __version__,
    }
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2, allow_nan=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees all of it or what was there before."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def with_needs(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Return the stages and all that they need, each once, every stage after what it needs."""
    ordered: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        if stage.hash not in ordered:
            for need in stage.needs.values():
                add(need)
            ordered[stage.hash] = stage

    for stage in stages:
        add(stage)
    return tuple(ordered.values())


def stage_named(stages: Iterable[Stage], name: str) -> Stage:
    """Return the stage with this name.

    Raises:
        ConfigurationError: where there is none, with the nearest name.
    """
    by_name = {stage.name: stage for stage in stages}
    if name not in by_name:
        raise ConfigurationError(f"There is no stage {name!r}.{did_you_mean(name, by_name)}")
    return by_name[name]
