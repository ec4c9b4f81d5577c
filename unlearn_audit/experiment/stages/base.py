"""A stage: one piece of a study, in a folder named by the hash of all that decides its result.

A stage is complete once its folder holds `manifest.json`, which is written last and by renaming. Until then the folder
may hold anything, and the next run goes on from it. A lock for each stage keeps two runs in one folder apart.

The manifest holds the size and SHA-256 of every file. Each run compares them before it uses a stage: where a file is
not as it was written, the folder is set aside and the stage done again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
import warnings
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
from unlearn_audit.experiment.trackers import Tracking
from unlearn_audit.files import read_json, set_aside, sha256, storage_explained, write_text

MANIFEST = "manifest.json"
# Metadata of a dataclass field that changes no result, and therefore stays out of a stage's hash and manifest.
INCIDENTAL = MappingProxyType({"incidental": True})
# Metadata of a field that was added later: with its default it stays out too, so that older studies keep their hashes.
ADDED = MappingProxyType({"added": True})


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage(ABC):
    """One piece of a study.

    A kind of stage is a subclass: its fields are what decides its result, among them the stages whose folders it reads,
    and `run` does it. Fields with the metadata `INCIDENTAL` do not decide.

    Attributes:
        kind: what sort of stage it is; the beginning of its folder's name.
        opens: whether it says what was there before it: no stage that it does not need is begun until it is complete.
        name: unique within its study, for example "retrained-1".
        threads: of the CPU that PyTorch uses; None leaves their number as it is.
        memory: that it takes, in bytes, by estimate and at least: how many stages fit side by side.
        unit: of what it tells as done on the way, in the plural.
    """

    kind: ClassVar[str]
    opens: ClassVar[bool] = False
    unit: ClassVar[str] = "steps"
    name: str = field(metadata=INCIDENTAL)
    threads: int | None = field(default=None, metadata=INCIDENTAL)
    memory: int = field(default=0, metadata=INCIDENTAL)

    @abstractmethod
    def run(self, workspace: Workspace) -> Mapping[str, Any]:
        """Do the work in the workspace's folder, and return results for the manifest (JSON).

        The folder may hold what a run that was killed left there; go on from it where that saves time.
        """

    @property
    def about(self) -> str:
        """What model it is about, for people: an architecture or a method; nothing where it is about several."""
        return ""

    @property
    def epochs(self) -> float | None:
        """Over how many epochs its steps go; None where it trains nothing, or that is found on the way."""
        return None

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
            if _decides(each, self._of(each)) and not any(_stages("", self._of(each)))
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


def _decides(each: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a field with this value belongs into a stage's hash."""
    if each.metadata.get("added"):
        made = each.default_factory
        return bool(value != (each.default if made is dataclasses.MISSING else made()))
    return not each.metadata.get("incidental")


def _plain(value: Any) -> Any:
    """Return a value as JSON, without the incidental fields of dataclasses."""
    if dataclasses.is_dataclass(value):
        kept = (each.name for each in dataclasses.fields(value) if _decides(each, getattr(value, each.name)))
        return {name: _plain(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


class Progress:
    """Is told how a run goes, and warns of damage alone; a subclass overrides what it wants to hear of."""

    def started(self, stage: Stage) -> None:
        """`stage` begins, or goes on where a killed run left it."""

    def waiting(self, stage: Stage) -> None:
        """Another run is at `stage`, and there is nothing else to do."""

    def advanced(self, stage: Stage, done: int, total: int) -> None:
        """`stage` has done `done` of `total` steps."""

    def finished(self, stage: Stage, outcome: Outcome) -> None:
        """`stage` is complete."""

    def stopped(self, stage: Stage, reason: str) -> None:
        """`stage` broke off beside others that go on, for the reason that the sentence `reason` gives."""

    def damaged(self, stage: Stage, damage: str) -> None:
        """`stage` was complete and is done again, for the reason that the sentence `damage` gives; this warns of it."""
        warnings.warn(damage, stacklevel=2)


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
        results: Mapping[str, Any] = read_json(self.folder_of(need) / MANIFEST)["results"]
        return results


@dataclass(frozen=True)
class Outcome:
    """How a stage came to be complete: by this run in `seconds`, or already (`reused`).

    `damage` says in a sentence why it had to be done again; it is empty otherwise.
    """

    reused: bool
    seconds: float
    damage: str = ""


@dataclass(frozen=True)
class State:
    """What a stage's folder holds: the manifest of a complete stage, or nothing, or in words what of it is damaged."""

    manifest: Mapping[str, Any] | None = None
    damage: str = ""


@dataclass(frozen=True)
class Store:
    """The folder of a study's stages; several runs, also of different studies, may share one.

    Attributes:
        root: the folder.
        tracking: where its trainings and audits are logged.
    """

    root: Path
    tracking: Tracking = field(default_factory=Tracking)

    def folder(self, stage: Stage) -> Path:
        """Return the folder of a stage, whether it exists or not."""
        return self.root / "stages" / stage.folder_name

    def state(self, stage: Stage) -> State:
        """Look into a stage's folder, and compare size and SHA-256 of each file with the manifest."""
        folder = self.folder(stage)
        try:
            manifest = read_json(folder / MANIFEST)
        except FileNotFoundError:
            return State()
        except (OSError, ValueError):
            return State(damage=f"{MANIFEST} cannot be read")
        if not _is_manifest_of(stage, manifest):
            return State(damage=f"{MANIFEST} is not the one that was written")
        changed = _changed_file(folder, manifest["files"])
        return State(manifest) if changed is None else State(damage=f"{changed} is not as it was written")

    def manifest(self, stage: Stage) -> Mapping[str, Any] | None:
        """Return the manifest of a complete stage; None where it is not complete or a file is not as it was written."""
        return self.state(stage).manifest

    def has_manifest(self, stage: Stage) -> bool:
        """Whether the stage was done; what became of its files is not looked at."""
        return (self.folder(stage) / MANIFEST).is_file()

    def is_complete(self, stage: Stage) -> bool:
        """Whether the stage is done and its files are as it wrote them."""
        return self.manifest(stage) is not None

    def set_aside(self, stage: Stage) -> Path:
        """Give a stage's folder another name, so that the stage can be done again and nothing is lost; return it."""
        return set_aside(self.folder(stage))

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
            state = store.state(stage)
            if state.damage:
                state = dataclasses.replace(state, damage=_set_aside(stage, store, state.damage))
                progress.damaged(stage, state.damage)
            complete = state.manifest is not None
            outcome = Outcome(reused=True, seconds=0.0) if complete else _do(stage, store, progress, state.damage)
    except Timeout:
        return None
    progress.finished(stage, outcome)
    return outcome


def _set_aside(stage: Stage, store: Store, damage: str) -> str:
    """Set a damaged stage aside, and return a sentence that says so."""
    kept = store.set_aside(stage)
    return (
        f"{stage.name}: {stage.folder_name}/{damage}, so this stage is done again. What was there is kept in "
        f"{kept.relative_to(store.root).as_posix()}."
    )


def _do(stage: Stage, store: Store, progress: Progress, damage: str) -> Outcome:
    folder = store.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    progress.started(stage)
    begin = time.perf_counter()
    workspace = Workspace(folder, store, lambda done, total: progress.advanced(stage, done, total))
    with storage_explained(stage.name), _torch_threads(stage.threads):
        results = stage.run(workspace)
        seconds = time.perf_counter() - begin
        _write_manifest(stage, folder, results, seconds)
    return Outcome(reused=False, seconds=seconds, damage=damage)


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
    plain = json.loads(json.dumps(manifest, allow_nan=False))  # as it will be read
    write_text(folder / MANIFEST, json.dumps({**plain, "sha256": _sha256_of(plain)}, indent=2) + "\n")


def reseal(folder: Path) -> None:
    """Let the manifest of the stage that `folder` belongs to, if it is one's, say what its files are now.

    For what a person does to a stage's result on purpose, such as rendering a report again.
    """
    path = folder.resolve().parent / MANIFEST
    try:
        manifest = read_json(path)
        found = {name: path.with_name(MANIFEST).parent / name for name in manifest["files"]}
    except (OSError, ValueError, LookupError, TypeError):
        return
    paths = sorted({*(p for p in folder.resolve().rglob("*") if p.is_file()), *found.values()})
    manifest["files"] = {
        p.relative_to(path.parent).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256(p)}
        for p in paths
        if p.is_file()
    }
    manifest.pop("sha256", None)
    write_text(path, json.dumps({**manifest, "sha256": _sha256_of(manifest)}, indent=2) + "\n")


def _sha256_of(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its own."""
    kept = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _is_manifest_of(stage: Stage, manifest: Any) -> bool:
    """Tell whether it is what this stage wrote; manifests had no hash of their own at first."""
    return (
        isinstance(manifest, dict)
        and manifest.get("hash") == stage.hash
        and all(isinstance(manifest.get(part), dict) for part in ("results", "files", "needs"))
        and all(isinstance(written, dict) for written in manifest["files"].values())
        and manifest.get("sha256", _sha256_of(manifest)) == _sha256_of(manifest)
    )


def _changed_file(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the first file whose size, or else whose SHA-256, is not the one in the manifest."""
    for part, found in {"bytes": _size, "sha256": sha256}.items():
        for name, written in files.items():
            if found(folder / name) != written.get(part):
                return name
    return None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


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
