"""The Ray engine on a local cluster of two workers."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from unlearn_audit.errors import DataError
from unlearn_audit.experiment.engines import registry
from unlearn_audit.experiment.engines.ray import run_on_ray
from unlearn_audit.experiment.engines.serial import run_serial
from unlearn_audit.experiment.stages import Progress, Stage, Store, with_needs

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'unlearn-audit[ray]'")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sum(Stage):
    kind: ClassVar[str] = "sum"
    number: int = 1
    terms: tuple[Stage, ...] = ()

    def run(self, workspace):
        total = self.number + sum(workspace.results_of(term)["total"] for term in self.terms)
        (workspace.folder / "total.txt").write_text(str(total))
        return {"total": total}


class Meeting(Sum):
    """Waits until the other of two stages runs too, in another process."""

    def run(self, workspace):
        place = workspace.folder.parent.parent / "meeting"
        place.mkdir(exist_ok=True)
        (place / f"{self.name}-{os.getpid()}").touch()
        deadline = time.monotonic() + 60
        while len({path.name.split("-")[1] for path in place.iterdir()}) < 2:
            assert time.monotonic() < deadline, "the stages did not run side by side"
            time.sleep(0.05)
        return {"total": self.number}


class DyingOnce(Sum):
    """Kills the worker the first time, as a machine that is lost does."""

    def run(self, workspace):
        trace = workspace.folder / "was-here"
        if not trace.exists():
            trace.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"total": 7}


class Refusing(Sum):
    def run(self, workspace):
        raise DataError("expected sense, got none")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    here = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}}  # of the stages above
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=here)
    yield
    ray.shutdown()


class Finished(Progress):
    def __init__(self):
        self.names = []

    def finished(self, stage, outcome):
        self.names.append(stage.name)


def test_the_engine_is_found_by_name():
    assert registry.names() == ("processes", "ray", "serial")
    assert registry.load("ray") is run_on_ray


def test_results_are_those_of_the_serial_engine(tmp_path):
    a = Sum(name="a", number=1)
    middle = (Sum(name="b", number=10, terms=(a,)), Sum(name="c", number=20, terms=(a,)))
    stages = with_needs([Sum(name="d", number=100, terms=middle)])
    progress = Finished()
    run_on_ray(stages, Store(tmp_path / "ray"), progress)
    run_serial(stages, Store(tmp_path / "serial"), Progress())
    manifests = [[Store(tmp_path / name).manifest(s) for s in stages] for name in ("ray", "serial")]
    for manifest in manifests[0] + manifests[1]:
        del manifest["seconds"], manifest["sha256"]  # which is over the seconds too
    assert manifests[0] == manifests[1]
    assert sorted(progress.names) == ["a", "b", "c", "d"]


def test_stages_run_side_by_side_in_two_workers(tmp_path):
    run_on_ray([Meeting(name="one", number=1), Meeting(name="two", number=2)], Store(tmp_path), Progress())


def test_the_stage_of_a_killed_worker_is_done_again(tmp_path):
    only = DyingOnce(name="mortal")
    run_on_ray([only], Store(tmp_path), Progress())
    assert Store(tmp_path).manifest(only)["results"] == {"total": 7}


def test_a_damaged_stage_is_done_again_with_a_warning_here(tmp_path):
    only, store = Sum(name="a"), Store(tmp_path)
    run_on_ray([only], store, Progress())
    (store.folder(only) / "total.txt").write_text("2")
    with pytest.warns(UserWarning, match=rf"^a: {only.folder_name}/total.txt is not as it was written"):
        run_on_ray([only], store, Progress())
    assert (store.folder(only) / "total.txt").read_text() == "1"


def test_an_error_in_a_worker_comes_out_as_it_was(tmp_path):
    with pytest.raises(DataError, match=r"^expected sense, got none$"):
        run_on_ray([Refusing(name="odd")], Store(tmp_path), Progress())


class Opening(Sum):
    """Counts the stages that are done while it takes its time."""

    opens = True

    def run(self, workspace):
        time.sleep(1)
        return {"total": len(list(workspace.folder.parent.glob("*/total.txt")))}


def test_nothing_is_begun_before_the_stages_that_open_a_study_are_complete(tmp_path):
    first = Opening(name="first")
    store = Store(tmp_path)
    run_on_ray([*(Sum(name=f"s{n}", number=n) for n in range(3)), first], store, Progress())
    assert store.manifest(first)["results"] == {"total": 0}
