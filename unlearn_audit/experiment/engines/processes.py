"""Stages in several processes of this machine: those that do not need each other side by side.

Each process does one stage after the other, so that it imports and loads the data once, and has its share of the cores.
Processes come from `multiprocessing`, each with a pipe of its own: an executor of `concurrent.futures` or loky ends all
its workers when one of them is killed, leaves them behind when its own process is, and cannot tell how a stage goes.
They are spawned, not forked, since a process that has trained hands its state of Accelerate on to its copies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from unlearn_audit.errors import ConfigurationError, UnlearnAuditError
from unlearn_audit.experiment.engines._worker import work
from unlearn_audit.experiment.engines.serial import run_serial
from unlearn_audit.experiment.stages import Outcome, Progress, Stage, Store, with_needs
from unlearn_audit.processes import THREADS, asked_threads, free_cores, free_memory, has_accelerator

__all__ = ["run_in_processes"]

_JOBS = "UNLEARN_AUDIT_JOBS"
_QUIET = {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}  # a process has no terminal
_GRACE = 10.0  # seconds that a process has to end a stage that is given up


def run_in_processes(stages: Sequence[Stage], store: Store, progress: Progress, jobs: int | None = None) -> None:
    """Complete all stages, which come in an order in which each follows what it needs.

    Two runs in one folder share the work, as with the serial engine. Where a stage fails, those that run are finished
    and no other is begun. A stage whose process is killed is done again by another process, from its last checkpoint;
    the killed one is not replaced, since memory may have run out. All processes end with this one, also where it is
    killed.

    Args:
        stages: what to do.
        store: their folders.
        progress: is told how they go.
        jobs: most stages side by side; by default what `UNLEARN_AUDIT_JOBS` says, or else as many as there are free
            cores, and memory for, and one where there is an accelerator. With one, all is done in this process.

    Raises:
        ConfigurationError: for anything but a number of jobs.
        UnlearnAuditError: what a stage raised, or that all processes died.
    """
    jobs = _asked(jobs)
    left = [stage for stage in stages if not store.has_manifest(stage)]
    most = min(jobs or _fitting(left), _width(left))
    if most <= 1:
        run_serial(stages, store, progress)
        return
    with _Crew(most, None if jobs else free_memory()) as crew:
        _Run(stages, dataclasses.replace(store, root=store.root.resolve()), progress, crew).complete()


def _asked(jobs: int | None) -> int | None:
    asked = os.environ.get(_JOBS) or None if jobs is None else str(jobs)
    if asked is None:
        return None
    if not asked.isdecimal() or not int(asked):
        raise ConfigurationError(f"Expected a number of jobs of at least 1, got {asked!r}.")
    return int(asked)


def _fitting(stages: Sequence[Stage]) -> int:
    """Return how many stages the free cores take side by side; one where they share an accelerator."""
    threads = max((stage.threads or asked_threads() or 1 for stage in stages), default=1)
    return 1 if has_accelerator() else free_cores() // threads


def _width(stages: Sequence[Stage]) -> int:
    """Return how many stages lie side by side at the widest point."""
    depths: dict[str, int] = {}
    for stage in stages:
        depths[stage.hash] = 1 + max((depths.get(need.hash, 0) for need in stage.needs.values()), default=0)
    return max(Counter(depths.values()).values(), default=0)


def _chains(stages: Sequence[Stage]) -> dict[str, int]:
    """Return how long the longest chain of stages is that wait for each: what many wait for is done first."""
    chains: dict[str, int] = {}
    for stage in reversed(stages):
        length = chains.setdefault(stage.hash, 0)
        for need in stage.needs.values():
            chains[need.hash] = max(chains.get(need.hash, 0), length + 1)
    return chains


class _Worker:
    """A process, the pipe to it, and the stage that it is at."""

    def __init__(self, environment: dict[str, str]):
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, Path.cwd()), name="stages")
        self.stage: Stage | None = None
        self.waits = False
        with _inherited(environment):
            self.process.start()
        theirs.close()  # so that the pipe ends when the process does

    def begin(self, stage: Stage, store: Store, *, waits: bool) -> None:
        self.stage, self.waits = stage, waits
        with contextlib.suppress(OSError):  # it died; reading from the pipe will tell
            self.connection.send((stage, store, waits))

    def how_it_died(self) -> str:
        self.process.join(_GRACE)
        code = self.process.exitcode
        return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with {code}"


@contextlib.contextmanager
def _inherited(environment: dict[str, str]) -> Iterator[None]:
    """Let a process that starts inside the block have these variables, and leave Ctrl-C to this one."""
    before = {name: os.environ.get(name) for name in environment}
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if main:
            signal.signal(signal.SIGINT, handler)


class _Crew:
    """The processes: started when there is work for them, and ended with the block."""

    def __init__(self, most: int, memory: int | None):
        self.most = most
        self._memory = memory
        self._environment = {THREADS: str(asked_threads() or max(1, free_cores() // most)), **_QUIET}
        self._workers: list[_Worker] = []

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker.stage:
                worker.process.terminate()
            else:
                worker.connection.close()
        for worker in self._workers:
            worker.process.join(_GRACE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    @property
    def busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.stage]

    def has_room_for(self, stage: Stage) -> bool:
        """Whether a process may begin a stage now; one may always."""
        at = [worker.stage for worker in self._workers if worker.stage]
        if len(at) >= self.most:
            return False
        needed = sum(each.memory for each in [*at, stage])
        return not at or self._memory is None or needed <= self._memory

    def begin(self, stage: Stage, store: Store, *, waits: bool) -> None:
        idle = next((worker for worker in self._workers if not worker.stage), None)
        if idle is None:
            idle = _Worker(self._environment)
            self._workers.append(idle)
        idle.begin(stage, store, waits=waits)

    def messages(self) -> Iterator[tuple[_Worker, tuple[Any, ...] | None]]:
        """Wait for what busy processes say, and yield it; None of one that died."""
        busy = self.busy
        heard = wait([worker.connection for worker in busy])
        for worker in (worker for worker in busy if worker.connection in heard):
            try:
                yield worker, worker.connection.recv()
            except (EOFError, OSError):
                yield worker, None

    def without(self, worker: _Worker) -> None:
        """Go on with one process less."""
        self._workers.remove(worker)
        self.most -= 1


class _Run:
    """What is left to do, and what came of the rest."""

    def __init__(self, stages: Sequence[Stage], store: Store, progress: Progress, crew: _Crew):
        chains = _chains(stages)
        self._pending = sorted(stages, key=lambda stage: -chains[stage.hash])
        self._unfinished = {stage.hash for stage in stages}
        self._opening = {stage.hash for stage in with_needs(stage for stage in stages if stage.opens)}
        self._elsewhere: set[str] = set()  # stages that another run is at
        self._store, self._progress, self._crew = store, progress, crew
        self._failure: BaseException | None = None

    def complete(self) -> None:
        self._assign()
        while self._crew.busy:
            for worker, message in self._crew.messages():
                self._hear(worker, message)
            self._assign()
        if self._failure is not None:
            raise self._failure

    def _assign(self) -> None:
        """Give stages to processes while there are some of both; stages that are done already need none."""
        while self._failure is None and (stage := self._next()) is not None:
            if self._store.is_complete(stage):
                self._pending.remove(stage)
                self._finish(stage, Outcome(reused=True, seconds=0.0))
            elif self._crew.has_room_for(stage):
                self._pending.remove(stage)
                self._begin(stage)
            else:
                return

    def _begin(self, stage: Stage) -> None:
        waits = stage.hash in self._elsewhere
        self._crew.begin(stage, self._store, waits=waits)
        if waits:
            self._progress.waiting(stage)

    def _next(self) -> Stage | None:
        """Return the next stage whose needs are complete: first of those that no other run is at.

        While stages that open a study are left, they and what they need are all.
        """
        opening = self._opening & self._unfinished
        of = [stage for stage in self._pending if stage.hash in opening or not opening]
        ready = [stage for stage in of if not any(need.hash in self._unfinished for need in stage.needs.values())]
        return min(ready, key=lambda stage: stage.hash in self._elsewhere, default=None)

    def _hear(self, worker: _Worker, message: tuple[Any, ...] | None) -> None:
        stage = worker.stage
        assert stage is not None
        match message:
            case None:
                self._lost(worker, stage)
            case ("said", stream, text):
                print(text, end="", file=getattr(sys, stream), flush=True)
            case ("told", what, *details):
                getattr(self._progress, what)(stage, *details)
            case ("done", None):
                worker.stage = None
                self._elsewhere.add(stage.hash)
                self._pending.append(stage)
            case ("done", outcome):
                worker.stage = None
                self._finish(stage, outcome)
            case ("failed", error):
                worker.stage = None
                self._fail(stage, error)

    def _finish(self, stage: Stage, outcome: Outcome) -> None:
        self._unfinished.discard(stage.hash)
        self._progress.finished(stage, outcome)

    def _fail(self, stage: Stage, error: BaseException) -> None:
        self._failure = self._failure or error
        others = ", ".join(worker.stage.name for worker in self._crew.busy if worker.stage)
        self._progress.stopped(
            stage, f"{stage.name} failed." + (f" No other stage is begun; still at work: {others}." if others else "")
        )

    def _lost(self, worker: _Worker, stage: Stage) -> None:
        self._crew.without(worker)
        how = f"{stage.name}: its process {worker.how_it_died()}, perhaps for want of memory."
        if self._crew.most:
            self._pending.insert(0, stage)
            self._progress.stopped(stage, f"{how} Another goes on with it, and one stage fewer runs at a time.")
        else:
            self._failure = self._failure or UnlearnAuditError(
                f"{how} None is left. The stages that are done stay; start the run again, with fewer --jobs."
            )
