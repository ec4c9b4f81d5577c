"""A stage: one piece of a study, in a folder named by the hash of all that decides its result.

A stage is complete once its folder holds `manifest.json`, which is written last and by renaming. Until then the folder
may hold anything, and the next run goes on from it. A lock for each stage keeps two runs in one folder apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from filelock import FileLock, Timeout

from unlearn_audit import __version__
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.files import sha256, write_text

MANIFEST = "manifest.json"
# Metadata of a dataclass field that changes no result, and therefore stays out of a stage's hash and manifest.
INCIDENTAL = MappingProxyType({"incidental": True})


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage(ABC):
    """One piece of a study.

    A kind of stage is a subclass: its fields are what decides its result, among them the stages whose folders it reads,
    and `run` does it. Fields with the metadata `INCIDENTAL` do not decide.

    Attributes:
        kind: what sort of stage it is; the beginning of its folder's name.
        name: unique within its study, for example "retrained-1".
        threads: of the CPU that PyTorch uses; None leaves their number as it is.
    """

    kind: ClassVar[str]
    name: str = field(metadata=INCIDENTAL)
    threads: int | None = field(default=None, metadata=INCIDENTAL)

    @abstractmethod
    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Do the work in the workspace's folder, and return results for the manifest (JSON).

        The folder may hold what a run that was killed left there; go on from it where that saves time.
        """

    @cached_property
    def needs(self) -> dict[str, Stage]:
        """The stages in the fields, by role: the field's name, with the place inside it where it holds several."""
        return {role: stage for each in dataclasses.fields(self) for role, stage in _stages(each.name, self._of(each))}

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What decides the result but for the needs, as JSON."""
        return {
            each.name: _plain(self._of(each))
            for each in dataclasses.fields(self)
            if not each.metadata.get("incidental") and not any(_stages("", self._of(each)))
        }

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

    def _of(self, each: dataclasses.Field[Any]) -> Any:
        return getattr(self, each.name)


def _stages(role: str, value: Any) -> Iterator[tuple[str, Stage]]:
    """Yield the stages in a field: the value itself, or those in a mapping or tuple."""
    if isinstance(value, Stage):
        yield role, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _stages(f"{role}.{name}", item)
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            yield from _stages(f"{role}.{position}", item)


def _plain(value: Any) -> Any:
    """Return a value as JSON, without the incidental fields of dataclasses."""
    if dataclasses.is_dataclass(value):
        kept = (each.name for each in dataclasses.fields(value) if not each.metadata.get("incidental"))
        return {name: _plain(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


class Progress:
    """Is told how a run goes, and does nothing with it; a subclass overrides what it wants to hear of."""

    def started(self, stage: Stage) -> None:
        """`stage` begins, or goes on where a killed run left it."""

    def waiting(self, stage: Stage) -> None:
        """Another run is at `stage`, and there is nothing else to do."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """`stage` has done `done` of `total` steps."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """`stage` is complete."""


@dataclass(frozen=True)
class Workspace:
    """Where a stage does its work.

    Attributes:
        folder: of the stage.
        store: the folders of all stages.
        advanced: to be called with the steps that are done, and how many there are in all.
    """

    folder: Path
    store: Store
    advanced: Callable[[int, int], None]

    def folder_of(self, need: Stage) -> Path:
        """Return the folder of a complete stage."""
        return self.store.folder(need)

    def results_of(self, need: Stage) -> Mapping[str, Any]:
        """Return what a complete stage returned when it was done."""
        results: Mapping[str, Any] = json.loads((self.folder_of(need) / MANIFEST).read_text(encoding="utf-8"))[
            "results"
        ]
        return results


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
            manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        files = manifest["files"].items()
        return manifest if all(_size(folder / name) == entry["bytes"] for name, entry in files) else None

    def is_complete(self, stage: Stage) -> bool:
        """Whether the stage is done and its files are there."""
        return self.manifest(stage) is not None

    def results(self, stage: Stage) -> Mapping[str, Any]:
        """Return what a stage returned when it was done.

        Raises:
            ConfigurationError: where it is not complete.
        """
        manifest = self.manifest(stage)
        if manifest is None:
            raise ConfigurationError(f"Expected the stage {stage.name!r} to be done. Run it first: unlearn-audit run.")
        results: Mapping[str, Any] = manifest["results"]
        return results

    def lock(self, stage: Stage) -> FileLock:
        """Return the stage's lock; the operating system frees it when its holder dies."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{stage.folder_name}.lock")


def run_stage(stage: Stage, store: Store, progress: Progress | None = None, *, wait: bool = True) -> Outcome | None:
    """Do a stage whose needs are complete, unless it is complete already.

    Returns:
        How it came to be complete; None where `wait` is False and another run is at it.
    """
    progress = progress or Progress()
    try:
        with store.lock(stage).acquire(timeout=-1 if wait else 0):
            complete = store.is_complete(stage)
            outcome = Outcome(reused=True, seconds=0.0) if complete else _do(stage, store, progress)
    except Timeout:
        return None
    progress.finished(stage, outcome)
    return outcome


def _do(stage: Stage, store: Store, progress: Progress) -> Outcome:
    folder = store.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    progress.started(stage)
    begin = time.perf_counter()
    workspace = Workspace(folder, store, lambda done, total: progress.advanced(stage, done, total))
    with _torch_threads(stage.threads):
        results = stage.run(workspace)
    seconds = time.perf_counter() - begin
    _write_manifest(stage, folder, results, seconds)
    return Outcome(reused=False, seconds=seconds)


@contextlib.contextmanager
def _torch_threads(number: int | None) -> Iterator[None]:
    if number is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_manifest(stage: Stage, folder: Path, results: Mapping[str, Any], seconds: float) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "name": stage.name,
        "kind": stage.kind,
        "hash": stage.hash,
        "inputs": stage.inputs,
        "needs": {role: need.folder_name for role, need in stage.needs.items()},
        "results": results,
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in paths
        },
        "seconds": round(seconds, 3),
        "version": __version__,
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, allow_nan=False) + "\n")


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
