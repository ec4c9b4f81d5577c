"""The Ray engine on a local cluster of two workers."""

import os
import signal
import time
from pathlib import Path

import pytest

from unlearn_audit.errors import DataError
from unlearn_audit.experiment.engines import registry
from unlearn_audit.experiment.engines.ray import run_on_ray
from unlearn_audit.experiment.engines.serial import run_serial
from unlearn_audit.experiment.stages import Silence, Stage, Store, with_needs

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'unlearn-audit[ray]'")


def add(work):
    total = work.stage.inputs["number"] + sum(work.results_of(role)["total"] for role in work.needs)
    (work.folder / "total.txt").write_text(str(total))
    return {"total": total}


def meet(work):
    """Wait until the other of two stages runs too, in another process."""
    place = work.folder.parent.parent / "meeting"
    place.mkdir(exist_ok=True)
    (place / f"{work.stage.name}-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while len({path.name.split("-")[1] for path in place.iterdir()}) < 2:
        assert time.monotonic() < deadline, "the stages did not run side by side"
        time.sleep(0.05)
    return {"total": work.stage.inputs["number"]}


def die_once(work):
    """Kill the worker the first time, as a machine that is lost does."""
    trace = work.folder / "was-here"
    if not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"total": 7}


def refuse(work):
    raise DataError("expected sense, got none")


def stage(name, function, number=1, needs=()):
    work = f"{__name__}:{function}"
    return Stage(name, function, work, {"number": number}, needs={need.name: need for need in needs})


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}}  # of the functions above
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=here)
    yield
    ray.shutdown()


class Finished(Silence):
    def __init__(self):
        self.names = []

    def finished(self, stage, outcome):
        self.names.append(stage.name)


def test_the_engine_is_found_by_name():
    assert registry.names() == ("ray", "serial")
    assert registry.load("ray") is run_on_ray


def test_results_are_those_of_the_serial_engine(tmp_path):
    a = stage("a", "add", 1)
    stages = with_needs([stage("d", "add", 100, [stage("b", "add", 10, [a]), stage("c", "add", 20, [a])])])
    listener = Finished()
    run_on_ray(stages, Store(tmp_path / "ray"), listener)
    run_serial(stages, Store(tmp_path / "serial"), Silence())
    manifests = [[Store(tmp_path / name).manifest(s) for s in stages] for name in ("ray", "serial")]
    for manifest in manifests[0] + manifests[1]:
        del manifest["seconds"]
    assert manifests[0] == manifests[1]
    assert sorted(listener.names) == ["a", "b", "c", "d"]


def test_stages_run_side_by_side_in_two_workers(tmp_path):
    run_on_ray([stage("one", "meet", 1), stage("two", "meet", 2)], Store(tmp_path), Silence())


def test_the_stage_of_a_killed_worker_is_done_again(tmp_path):
    only = stage("mortal", "die_once")
    run_on_ray([only], Store(tmp_path), Silence())
    assert Store(tmp_path).manifest(only)["results"] == {"total": 7}


def test_an_error_in_a_worker_comes_out_as_it_was(tmp_path):
    with pytest.raises(DataError, match=r"^expected sense, got none$"):
        run_on_ray([stage("odd", "refuse")], Store(tmp_path), Silence())
