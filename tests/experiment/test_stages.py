"""Stages and the serial engine, on functions that write a file and count their calls."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from unlearn_audit.errors import ConfigurationError
from unlearn_audit.experiment.engines.serial import run_serial
from unlearn_audit.experiment.stages import (
    MANIFEST,
    Silence,
    Stage,
    Store,
    run_stage,
    stage_named,
    with_needs,
)


def add(work):
    """Sum the numbers of what it needs and its own; keep a line a call in calls.txt."""
    with (work.folder.parent.parent / "calls.txt").open("a") as calls:
        calls.write(f"{work.stage.name}\n")
    total = work.stage.inputs["number"] + sum(work.results_of(role)["total"] for role in work.needs)
    (work.folder / "total.txt").write_text(str(total))
    return {"total": total}


def slow_add(work):
    time.sleep(0.3)
    return add(work)


def crawl(work):
    """Count to 20 in a file, one at a time, from where it stands."""
    path = work.folder / "count.txt"
    while (count := int(path.read_text()) if path.exists() else 0) < 20:
        with (work.folder.parent.parent / "steps.txt").open("a") as steps:
            steps.write(f"{count}\n")
        draft = work.folder / "draft"
        draft.write_text(str(count + 1))
        draft.replace(path)
        work.advanced(count + 1, 20)
        time.sleep(0.05)
    return {"total": 20}


def stage(name, number=1, needs=(), work="add", settings=None):
    needs = {need.name: need for need in needs}
    return Stage(name, "sum", f"{__name__}:{work}", {"number": number}, settings or {}, needs)


def calls(root):
    return sorted((root / "calls.txt").read_text().split())


def diamond(top=1):
    a = stage("a", top)
    b, c = stage("b", 10, [a]), stage("c", 20, [a])
    return with_needs([stage("d", 100, [b, c])])


class Events(Silence):
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
    assert stage("renamed", 1, settings={"where": "elsewhere"}).hash == base.hash
    assert stage("a", 2).hash != base.hash
    assert stage("b", 1, [base]).hash != stage("b", 1, [stage("a", 2)]).hash
    assert base.folder_name == f"sum-{base.hash[:16]}"


def test_a_run_writes_results_and_manifests(tmp_path):
    stages = diamond()
    run_serial(stages, Store(tmp_path), Silence())
    manifest = Store(tmp_path).manifest(stages[-1])
    assert manifest["results"] == {"total": 100 + 11 + 21}
    assert manifest["files"]["total.txt"]["bytes"] == 3
    assert set(manifest["needs"]) == {"b", "c"}


def test_a_second_run_does_nothing_and_a_changed_one_only_what_changed(tmp_path):
    store = Store(tmp_path)
    run_serial(diamond(), store, Silence())
    events = Events()
    run_serial(diamond(), store, events)
    assert calls(tmp_path) == ["a", "b", "c", "d"]
    assert all(what == "reused" for what, _ in events.seen)
    a = stage("a")
    changed = with_needs([stage("d", 100, [stage("b", 11, [a]), stage("c", 20, [a])])])
    run_serial(changed, store, Silence())
    assert calls(tmp_path) == ["a", "b", "b", "c", "d", "d"]
    assert store.manifest(changed[-1])["results"]["total"] == 100 + 12 + 21


@pytest.mark.parametrize("damage", ["delete", "truncate", "manifest"])
def test_a_stage_that_lost_a_file_is_done_again(tmp_path, damage):
    store, (only,) = Store(tmp_path), with_needs([stage("a")])
    run_stage(only, store)
    target = store.folder(only) / (MANIFEST if damage == "manifest" else "total.txt")
    target.write_text("") if damage == "truncate" else target.unlink()
    assert not store.is_complete(only)
    assert run_stage(only, store).reused is False
    assert store.is_complete(only)


def test_a_stage_that_fails_leaves_no_manifest(tmp_path):
    broken = Stage("x", "sum", f"{__name__}:add", {})
    with pytest.raises(KeyError):
        run_stage(broken, Store(tmp_path))
    assert not Store(tmp_path).is_complete(broken)


def test_two_runs_in_one_folder_do_each_stage_once(tmp_path):
    stages = with_needs([stage("end", 0, [stage(f"s{n}", n, work="slow_add") for n in range(4)])])
    threads = [threading.Thread(target=run_serial, args=(stages, Store(tmp_path), Silence())) for _ in range(2)]
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
    only = Stage("slow", "crawl", f"{__name__}:crawl", {})
    script = (
        "from pathlib import Path\n"
        f"from {__name__} import Stage, Store, run_stage\n"
        f"stage = Stage('slow', 'crawl', '{__name__}:crawl', {{}})\n"
        f"run_stage(stage, Store(Path({str(tmp_path)!r})))"
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
    only = stage("a", settings={"folder": str(tmp_path)})
    run_stage(only, Store(tmp_path))
    text = (Store(tmp_path).folder(only) / MANIFEST).read_text()
    assert json.loads(text)["hash"] == only.hash
    assert str(tmp_path) not in text


def test_an_unknown_stage_is_named_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"no stage 'retrain-1'. Did you mean 'retrained-1'"):
        stage_named([stage("retrained-1"), stage("original")], "retrain-1")
