"""Stages and the serial engine, on functions that write a file and count their calls."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from unlearn_audit import files
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.engines.serial import run_serial
from unlearn_audit.experiment.stages import (
    INCIDENTAL,
    MANIFEST,
    Progress,
    Stage,
    Store,
    base,
    run_stage,
    stage_named,
    with_needs,
)


@dataclass(frozen=True)
class Settings:
    base: int = 10
    place: str = field(default="here", metadata=INCIDENTAL)
    speed: int = field(default=1, metadata={"incidental": True})


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Stage):
    """Sums the numbers of what it needs and its own; keeps a line a call in calls.txt."""

    kind: ClassVar[str] = "sum"
    number: int = 1
    terms: Mapping[str, Stage] = field(default_factory=dict)
    settings: Settings = Settings()
    folder: str = field(default="", metadata=INCIDENTAL)

    def run(self, workspace):
        with (workspace.folder.parent.parent / "calls.txt").open("a") as calls:
            calls.write(f"{self.name}\n")
        total = self.number + sum(workspace.results_of(term)["total"] for term in self.terms.values())
        (workspace.folder / "total.txt").write_text(str(total))
        return {"total": total}


class SlowSum(Sum):
    def run(self, workspace):
        time.sleep(0.3)
        return super().run(workspace)


class BrokenSum(Sum):
    def run(self, workspace):
        super().run(workspace)
        raise KeyError("broken")


@dataclass(frozen=True, eq=False, kw_only=True)
class Count(Stage):
    """Counts to 20 in a file, one at a time, from where it stands."""

    kind: ClassVar[str] = "count"

    def run(self, workspace):
        path = workspace.folder / "count.txt"
        while (count := int(path.read_text()) if path.exists() else 0) < 20:
            with (workspace.folder.parent.parent / "steps.txt").open("a") as steps:
                steps.write(f"{count}\n")
            draft = workspace.folder / "draft"
            draft.write_text(str(count + 1))
            draft.replace(path)
            workspace.advanced(count + 1, 20)
            time.sleep(0.05)
        return {"total": 20}


@dataclass(frozen=True, eq=False, kw_only=True)
class Gather(Stage):
    """Has stages in all kinds of fields."""

    kind: ClassVar[str] = "gather"
    one: Stage
    maybe: Stage | None
    rows: Mapping[str, tuple[Stage, ...]]

    def run(self, workspace):
        return {}


def stage(name, number=1, needs=(), kind=Sum, **others):
    return kind(name=name, number=number, terms={need.name: need for need in needs}, **others)


def calls(root):
    return sorted((root / "calls.txt").read_text().split())


def diamond(top=1):
    a = stage("a", top)
    b, c = stage("b", 10, [a]), stage("c", 20, [a])
    return with_needs([stage("d", 100, [b, c])])


class Events(Progress):
    def __init__(self):
        self.seen = []

    def started(self, stage):
        self.seen.append(("started", stage.name))

    def waiting(self, stage):
        self.seen.append(("waiting", stage.name))

    def finished(self, stage, outcome):
        self.seen.append(("reused" if outcome.reused else "done", stage.name))


def test_stages_come_after_what_they_need_and_each_once():
    names = [s.name for s in diamond()]
    assert names[0] == "a" and names[-1] == "d" and sorted(names) == ["a", "b", "c", "d"]


def test_the_hash_depends_on_inputs_and_needs_alone():
    base = stage("a", 1)
    assert stage("renamed", 1, folder="elsewhere", threads=2).hash == base.hash
    assert stage("a", 1, settings=Settings(place="there", speed=9)).hash == base.hash
    assert stage("a", 1, settings=Settings(base=2)).hash != base.hash
    assert stage("a", 2).hash != base.hash
    assert stage("b", 1, [base]).hash != stage("b", 1, [stage("a", 2)]).hash
    assert base.folder_name == f"sum-{base.hash[:16]}"


def test_needs_are_the_stages_in_the_fields():
    a, b, c = stage("a", 1), stage("b", 2), stage("c", 3)
    gathered = Gather(name="g", one=a, maybe=None, rows={"x": (b, c)})
    assert gathered.needs == {"one": a, "rows.x.0": b, "rows.x.1": c}
    assert gathered.inputs == {"maybe": None}
    assert Gather(name="g", one=a, maybe=None, rows={"x": (c, b)}).hash != gathered.hash


def test_a_stage_runs_with_its_threads_and_gives_them_back(tmp_path):
    import torch

    class Counting(Sum):
        def run(self, workspace):
            return {"total": torch.get_num_threads()}

    before = torch.get_num_threads()
    only = Counting(name="a", threads=before + 1)
    run_stage(only, Store(tmp_path))
    assert Store(tmp_path).results(only) == {"total": before + 1}
    assert torch.get_num_threads() == before


def test_a_run_writes_results_and_manifests(tmp_path):
    stages = diamond()
    run_serial(stages, Store(tmp_path), Progress())
    manifest = Store(tmp_path).manifest(stages[-1])
    assert manifest["results"] == {"total": 100 + 11 + 21}
    assert manifest["files"]["total.txt"]["bytes"] == 3
    assert set(manifest["needs"]) == {"terms.b", "terms.c"}


def test_a_second_run_does_nothing_and_a_changed_one_only_what_changed(tmp_path):
    store = Store(tmp_path)
    run_serial(diamond(), store, Progress())
    events = Events()
    run_serial(diamond(), store, events)
    assert calls(tmp_path) == ["a", "b", "c", "d"]
    assert all(what == "reused" for what, _ in events.seen)
    a = stage("a")
    changed = with_needs([stage("d", 100, [stage("b", 11, [a]), stage("c", 20, [a])])])
    run_serial(changed, store, Progress())
    assert calls(tmp_path) == ["a", "b", "b", "c", "d", "d"]
    assert store.manifest(changed[-1])["results"]["total"] == 100 + 12 + 21


def as_folder(path):
    path.unlink()
    path.mkdir()


def edited(path):
    """The same size, and for a manifest the same keys."""
    path.write_text(path.read_text().replace("1", "2"))


def results_edited(path):
    manifest = json.loads(path.read_text())
    manifest["results"] = {"total": 99}
    path.write_text(json.dumps(manifest))


def with_files(path):
    """A manifest without a hash of its own, as those of the first version."""
    manifest = {"hash": json.loads(path.read_text())["hash"], "files": {"total.txt": 3}, "results": {}, "needs": {}}
    path.write_text(json.dumps(manifest))


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "a file is gone": ("total.txt", lambda path: path.unlink()),
    "a file is cut off": ("total.txt", lambda path: path.write_text("")),
    "a file is edited": ("total.txt", edited),
    "a file is a folder": ("total.txt", as_folder),
    "a file is a pipe": ("total.txt", as_pipe),
    "the manifest is cut off": (MANIFEST, lambda path: path.write_text(path.read_text()[:40])),
    "the manifest is empty": (MANIFEST, lambda path: path.write_text("")),
    "the manifest is {}": (MANIFEST, lambda path: path.write_text("{}")),
    "the manifest is []": (MANIFEST, lambda path: path.write_text("[]")),
    "the manifest is null": (MANIFEST, lambda path: path.write_text("null")),
    "the manifest is no UTF-8": (MANIFEST, lambda path: path.write_bytes(b"\xff\xfe\x00{")),
    "the manifest is a folder": (MANIFEST, as_folder),
    "the manifest is a pipe": (MANIFEST, as_pipe),
    "the manifest is nested deeply": (MANIFEST, lambda path: path.write_text("[" * 100_000)),
    "the manifest's files are numbers": (MANIFEST, with_files),
    "the manifest is edited": (MANIFEST, edited),
    "the results are edited": (MANIFEST, results_edited),
    "the manifest has no files": (MANIFEST, lambda path: path.write_text('{"files": [], "results": {}, "needs": {}}')),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_stage_is_set_aside_and_done_again(tmp_path, damage):
    store, (only, *_) = Store(tmp_path), with_needs([stage("a")])
    run_stage(only, store)
    name, harm = DAMAGES[damage]
    harm(store.folder(only) / name)
    assert not store.is_complete(only)
    with pytest.warns(UserWarning, match=rf"^a: {only.folder_name}/{name} .* done again.*{only.folder_name}.damaged-1"):
        outcome = run_stage(only, store)
    assert not outcome.reused and store.results(only) == {"total": 1}
    assert (tmp_path / "stages" / f"{only.folder_name}.damaged-1").is_dir()
    assert run_stage(only, store).reused


def test_a_file_in_the_place_of_a_stage_is_set_aside(tmp_path):
    store, only = Store(tmp_path), stage("a")
    store.folder(only).parent.mkdir()
    store.folder(only).write_text("")
    with pytest.warns(UserWarning, match=r"done again"):
        run_stage(only, store)
    assert store.results(only) == {"total": 1}


def test_a_stage_without_a_manifest_is_not_damaged(tmp_path):
    store, only = Store(tmp_path), stage("a")
    run_stage(only, store)
    (store.folder(only) / MANIFEST).unlink()
    assert run_stage(only, store).damage == ""


def test_a_stage_put_in_the_place_of_another_is_noticed(tmp_path):
    store, one, other = Store(tmp_path), stage("a", 1), stage("b", 2)
    for each in (one, other):
        run_stage(each, store)
    shutil.rmtree(store.folder(one))
    shutil.copytree(store.folder(other), store.folder(one))
    with pytest.warns(UserWarning, match="done again"):
        run_stage(one, store)
    assert store.results(one) == {"total": 1}


def test_a_damaged_need_is_mended_before_it_is_used(tmp_path):
    a = stage("a")
    store, b = Store(tmp_path), stage("b", 10, [a])
    run_stage(a, store)
    results_edited(store.folder(a) / MANIFEST)
    with pytest.warns(UserWarning, match=r"^a: "):
        run_serial([a, b], store, Progress())
    assert store.results(b) == {"total": 11}


def test_each_file_is_hashed_once_a_run(tmp_path, monkeypatch):
    stages, hashed = diamond(), []
    run_serial(stages, Store(tmp_path), Progress())
    monkeypatch.setattr(base, "sha256", lambda path: hashed.append(path) or files.sha256(path))
    run_serial(stages, Store(tmp_path), Progress())
    assert len(hashed) == len(set(hashed)) == 4


def test_a_stage_that_fails_leaves_no_manifest(tmp_path):
    broken = stage("x", kind=BrokenSum)
    with pytest.raises(KeyError):
        run_stage(broken, Store(tmp_path))
    assert not Store(tmp_path).is_complete(broken)


def test_two_runs_in_one_folder_do_each_stage_once(tmp_path):
    stages = with_needs([stage("end", 0, [stage(f"s{n}", n, kind=SlowSum) for n in range(4)])])
    threads = [threading.Thread(target=run_serial, args=(stages, Store(tmp_path), Progress())) for _ in range(2)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls(tmp_path) == ["end", "s0", "s1", "s2", "s3"]
    assert time.perf_counter() - begin < 1.1  # they shared the work: 4 stages of 0.3 s, two at a time


def test_a_run_waits_for_a_stage_that_another_is_at(tmp_path):
    store, only, events = Store(tmp_path), stage("a"), Events()
    lock = store.lock(only)
    lock.acquire()
    assert run_stage(only, store, wait=False) is None
    thread = threading.Thread(target=run_serial, args=([only], store, events))
    thread.start()
    time.sleep(0.2)
    assert events.seen == [("waiting", "a")]
    lock.release()
    thread.join()
    assert events.seen == [("waiting", "a"), ("started", "a"), ("done", "a")]


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    only = Count(name="slow")
    script = (
        "from pathlib import Path\n"
        f"from {__name__} import Count, Store, run_stage\n"
        f"run_stage(Count(name='slow'), Store(Path({str(tmp_path)!r})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    steps = tmp_path / "steps.txt"
    while not steps.exists() or len(steps.read_text().split()) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Store(tmp_path).is_complete(only)
    run_stage(only, Store(tmp_path))
    counted = [int(line) for line in steps.read_text().split()]
    assert sorted(set(counted)) == list(range(20)) and len(counted) <= 21  # at most the killed step twice


def test_the_manifest_is_valid_json_and_holds_no_absolute_path(tmp_path):
    only = stage("a", folder=str(tmp_path))
    run_stage(only, Store(tmp_path))
    text = (Store(tmp_path).folder(only) / MANIFEST).read_text()
    assert json.loads(text)["hash"] == only.hash
    assert json.loads(text)["inputs"] == {"number": 1, "terms": {}, "settings": {"base": 10}}
    assert str(tmp_path) not in text


def test_an_unknown_stage_is_named_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"no stage 'retrain-1'. Did you mean 'retrained-1'"):
        stage_named([stage("retrained-1"), stage("original")], "retrain-1")
