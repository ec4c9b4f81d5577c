"""The engine `processes`, on stages that import nothing heavy: killed, interrupted and failing ones among them."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from unlearn_audit.errors import ConfigurationError, DataError, UnlearnAuditError
from unlearn_audit.experiment.engines import engine_named, processes, registry
from unlearn_audit.experiment.engines.processes import run_in_processes
from unlearn_audit.experiment.engines.serial import run_serial
from unlearn_audit.experiment.stages import Progress, Stage, Store, with_needs

pytestmark = pytest.mark.slow

PATIENCE = 60.0  # seconds


def shared(workspace):
    """The folder in which stages leave each other signs."""
    place = workspace.folder.parent.parent / "signs"
    place.mkdir(exist_ok=True)
    return place


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Stage):
    kind: ClassVar[str] = "sum"
    number: int = 1
    terms: tuple[Stage, ...] = ()

    def run(self, workspace):
        with (shared(workspace) / "calls").open("a") as calls:
            calls.write(f"{self.name} {os.getpid()}\n")
        workspace.advanced(1, 2)
        total = self.number + sum(workspace.results_of(term)["total"] for term in self.terms)
        (workspace.folder / "total.txt").write_text(str(total))
        return {"total": total}


class Opening(Sum):
    opens = True


class Meeting(Sum):
    """Waits until two such stages run, each in a process of its own."""

    def run(self, workspace):
        (shared(workspace) / f"met-{os.getpid()}").touch()
        until(lambda: len(list(shared(workspace).glob("met-*"))) >= 2)
        return super().run(workspace)


class DyingOnce(Sum):
    """Is killed the first time, once another stage runs."""

    def run(self, workspace):
        if not (trace := shared(workspace) / "died").exists():
            until(lambda: (shared(workspace) / "at work").exists())
            trace.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(workspace)


class Patient(Sum):
    """Goes on until the other has died or failed."""

    def run(self, workspace):
        (shared(workspace) / "at work").touch()
        until(lambda: (shared(workspace) / "died").exists())
        return super().run(workspace)


class Dying(Sum):
    def run(self, workspace):
        os.kill(os.getpid(), signal.SIGKILL)


class Refusing(Sum):
    def run(self, workspace):
        until(lambda: (shared(workspace) / "at work").exists())
        print("before the end", file=sys.stderr)
        raise DataError("expected sense, got none")


class OddError(Exception):
    """Cannot be made from its message alone, as unpickling does."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


class Odd(Sum):
    def run(self, workspace):
        raise OddError("one", "two")


class Endless(Sum):
    """Sleeps for ever, beside a child process that does so too."""

    def run(self, workspace):
        child = subprocess.Popen(["sleep", "600"])
        try:
            (shared(workspace) / f"pid-{os.getpid()}").touch()
            (shared(workspace) / f"pid-{child.pid}").touch()
            child.wait()
        finally:
            child.kill()
            child.wait()


class Events(Progress):
    def __init__(self):
        self.finished_ones, self.reused, self.reasons, self.steps = [], [], [], []

    def advanced(self, stage, done, total):
        self.steps.append((stage.name, done, total))

    def finished(self, stage, outcome):
        (self.reused if outcome.reused else self.finished_ones).append(stage.name)

    def stopped(self, stage, reason):
        self.reasons.append(reason)


def calls(store):
    return [line.split() for line in (store.root / "signs" / "calls").read_text().splitlines()]


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path)
    (tmp_path / "stages").mkdir()
    return found


def test_the_engine_is_found_by_name_and_takes_jobs():
    assert registry.load("processes") is run_in_processes
    assert engine_named("processes", 3).keywords == {"jobs": 3}
    with pytest.raises(ConfigurationError, match="no --jobs with the engine 'serial', got 3"):
        engine_named("serial", 3)


def test_results_are_those_of_the_serial_engine_and_each_process_does_several_stages(tmp_path):
    a, b = Meeting(name="a"), Meeting(name="b", number=2)
    middle = tuple(Sum(name=f"m{n}", number=n, terms=(a, b)) for n in range(4))
    stages = with_needs([Sum(name="end", number=100, terms=middle)])
    events, stores = Events(), (Store(tmp_path / "side"), Store(tmp_path / "serial"))
    run_in_processes(stages, stores[0], events, jobs=2)
    (tmp_path / "serial" / "signs").mkdir(parents=True)
    (tmp_path / "serial" / "signs" / "met-0").touch()
    run_serial(stages, stores[1], Progress())
    manifests = [[store.manifest(stage) for stage in stages] for store in stores]
    for manifest in manifests[0] + manifests[1]:
        del manifest["seconds"], manifest["sha256"]  # which is over the seconds too
    assert manifests[0] == manifests[1]
    assert sorted(events.finished_ones) == sorted(stage.name for stage in stages)
    assert events.finished_ones[-1] == "end" and ("end", 1, 2) in events.steps
    assert len({process for _, process in calls(stores[0])} - {str(os.getpid())}) == 2
    again = Events()
    run_in_processes(stages, stores[0], again, jobs=2)
    assert sorted(again.reused) == sorted(events.finished_ones)
    assert len(calls(stores[0])) == len(stages), "nothing is done again"


def test_the_stage_of_a_killed_process_is_done_by_another_and_no_other_is_disturbed(store):
    stages = [DyingOnce(name="mortal"), Patient(name="patient", number=2), Sum(name="later", number=3)]
    events = Events()
    run_in_processes(stages, store, events, jobs=2)
    assert sorted(name for name, _ in calls(store)) == ["later", "mortal", "patient"]
    assert events.reasons == [
        "mortal: its process was killed by signal 9, perhaps for want of memory. Another goes on with it, and one "
        "stage fewer runs at a time."
    ]


def test_where_all_processes_die_an_error_says_so_and_what_is_done_stays(store):
    done = Sum(name="done", number=5)
    stages = [done, Dying(name="one", terms=(done,)), Dying(name="two", number=2, terms=(done,))]
    with pytest.raises(UnlearnAuditError, match=r"killed by signal 9.* None is left.*with fewer --jobs"):
        run_in_processes(stages, store, Progress(), jobs=2)
    assert [store.is_complete(stage) for stage in stages] == [True, False, False]


def test_beside_a_stage_that_fails_those_that_run_are_finished_and_no_other_is_begun(store, capsys):
    class Signalling(Events):
        def stopped(self, stage, reason):
            super().stopped(stage, reason)
            (store.root / "signs" / "died").touch()

    stages = [Patient(name="patient"), Refusing(name="odd", number=2), Sum(name="later", number=3)]
    events = Signalling()
    with pytest.raises(DataError, match=r"^expected sense, got none$"):
        run_in_processes(stages, store, events, jobs=2)
    assert events.finished_ones == ["patient"]
    assert [name for name, _ in calls(store)] == ["patient"]
    assert events.reasons == ["odd failed. No other stage is begun; still at work: patient."]
    assert capsys.readouterr().err == "before the end\n"


def test_nothing_is_begun_before_the_stages_that_open_a_study_are_complete(store):
    need = Sum(name="need")
    chain = Sum(name="c", number=3, terms=(Sum(name="b", number=2, terms=(Sum(name="a", number=5),)),))
    opening = [Opening(name="first", terms=(need,)), Opening(name="second", number=9)]
    run_in_processes(with_needs([chain, *opening]), store, Progress(), jobs=2)
    names = [name for name, _ in calls(store)]
    assert sorted(names[:3]) == ["first", "need", "second"] and names[3:] == ["a", "b", "c"]


def test_an_error_that_no_pipe_takes_still_says_what_it_was(store):
    stages = [Odd(name="odd"), Sum(name="later", number=3)]
    with pytest.raises(RuntimeError, match=r"OddError: one two"):
        run_in_processes(stages, store, Progress(), jobs=2)


def test_a_damaged_stage_is_done_again_with_a_warning_here(store):
    stages = [Sum(name="a"), Sum(name="b", number=2)]
    run_serial(stages, store, Progress())
    for stage in stages:
        (store.folder(stage) / "total.txt").write_text("9")
    with pytest.warns(UserWarning, match=rf"^a: {stages[0].folder_name}/total.txt is not as it was written"):
        run_in_processes(stages, store, Progress(), jobs=2)
    assert [(store.folder(stage) / "total.txt").read_text() for stage in stages] == ["1", "2"]


def test_a_stage_that_another_run_is_at_is_waited_for_last(store, monkeypatch):
    class Waiting(Events):
        def waiting(self, stage):
            self.reasons.append(f"waiting for {stage.name}")
            lock.release()

    taken, others = Sum(name="taken"), [Sum(name="b", number=2), Sum(name="c", number=3)]
    lock = store.lock(taken)
    lock.acquire()
    events = Waiting()
    run_in_processes([taken, *others], store, events, jobs=2)
    assert events.reasons == ["waiting for taken"]
    assert sorted(events.finished_ones) == ["b", "c", "taken"]


SCRIPT = """
import signal, sys
from pathlib import Path
from tests.experiment.test_side_by_side import Endless
from unlearn_audit.experiment.engines.processes import run_in_processes
from unlearn_audit.experiment.stages import Progress, Store
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests in the background ignores it
stages = [Endless(name="one"), Endless(name="two", number=2)]
try:
    run_in_processes(stages, Store(Path(sys.argv[1])), Progress(), jobs=2)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_a_run_ends_no_process_of_it_is_left(how, tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path], cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True
    )
    signs = tmp_path / "signs"
    until(lambda: len(list(signs.glob("pid-*"))) == 4)
    started = [psutil.Process(int(path.name.removeprefix("pid-"))) for path in signs.glob("pid-*")]
    run.send_signal(how)
    said = run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == (130 if how == signal.SIGINT else -how)
    until(lambda: not any(process.is_running() for process in started))
    assert "Traceback" not in said


@pytest.mark.parametrize("asked", ["0", "-1", "many"])
def test_a_number_of_jobs_that_is_none_is_refused(asked, store, monkeypatch):
    monkeypatch.setenv("UNLEARN_AUDIT_JOBS", asked)
    with pytest.raises(ConfigurationError, match=f"at least 1, got '{asked}'"):
        run_in_processes([Sum(name="a")], store, Progress())


@pytest.mark.parametrize(
    ("cores", "threads", "stages", "most", "share"), [(16, None, 4, 4, "4"), (4, None, 9, 4, "1"), (16, 4, 9, 4, "4")]
)
def test_jobs_and_threads_fill_the_free_cores(cores, threads, stages, most, share, store, monkeypatch):
    class StopError(Exception):
        pass

    def run(*arguments):
        crew = arguments[-1]
        raise StopError(crew.most, crew._environment["OMP_NUM_THREADS"])

    monkeypatch.delenv("UNLEARN_AUDIT_JOBS")
    monkeypatch.setattr(processes, "free_cores", lambda: cores)
    monkeypatch.setattr(processes, "has_accelerator", lambda: False)
    monkeypatch.setattr(processes, "asked_threads", lambda: threads)
    monkeypatch.setattr(processes, "_Run", run)
    with pytest.raises(StopError) as ended:
        run_in_processes([Sum(name=f"s{n}", number=n) for n in range(stages)], store, Progress())
    assert ended.value.args == (most, share)


def test_threads_of_a_study_leave_room_for_fewer_stages_and_a_shared_accelerator_for_one(monkeypatch):
    stages = [Sum(name=f"s{n}", number=n, threads=n) for n in (1, 2, 4)]
    monkeypatch.setattr(processes, "free_cores", lambda: 16)
    monkeypatch.setattr(processes, "asked_threads", lambda: None)
    monkeypatch.setattr(processes, "has_accelerator", lambda: False)
    assert [processes._fitting(stages[:1]), processes._fitting(stages)] == [16, 4]
    monkeypatch.setattr(processes, "has_accelerator", lambda: True)
    assert processes._fitting(stages) == 1


def test_a_stage_waits_where_memory_would_not_hold_it_beside_another():
    crew = processes._Crew(2, memory=10)
    small, large = Sum(name="small", memory=4), Sum(name="large", memory=7)
    assert crew.has_room_for(Sum(name="huge", memory=99)), "alone, a stage may always"
    worker = type("Worker", (), {"stage": small})()
    crew._workers.append(worker)
    assert crew.has_room_for(Sum(name="other", memory=6)) and not crew.has_room_for(large)


def test_what_many_wait_for_is_first():
    a, b = Sum(name="a"), Sum(name="b", number=2)
    stages = with_needs([a, Sum(name="d", number=9, terms=(Sum(name="c", number=3, terms=(b,)),))])
    chains = processes._chains(stages)
    assert [chains[stage.hash] for stage in (a, b)] == [0, 2]


def test_a_run_of_which_a_thread_is_not_the_main_one_works_too(store):
    stages = [Sum(name="a"), Sum(name="b", number=2)]
    thread = threading.Thread(target=run_in_processes, args=(stages, store, Progress(), 2))
    thread.start()
    thread.join()
    assert all(store.is_complete(stage) for stage in stages)
