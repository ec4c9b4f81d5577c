"""How many threads suit a machine that does other work too."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest
import torch
from transformers import TrainerCallback

from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit import processes
from unlearn_audit.processes import limit_threads, new_garbage_alone, sensible_threads
from unlearn_audit.training import TrainingConfig, fit


@pytest.mark.parametrize(
    ("cores", "load", "threads"),
    [
        (2, 0.0, None),
        (2, 0.4, None),
        (2, 1.0, 1),
        (2, 2.0, 1),
        (2, 10.0, 1),
        (16, 4.2, 12),
        (1, 0.0, None),
        (1, 1.0, 1),
    ],
)
def test_threads_are_the_cores_that_are_free(cores: int, load: float, threads: int | None) -> None:
    assert sensible_threads(cores, load, {}) == threads


def test_the_environment_decides_where_it_says_something() -> None:
    assert sensible_threads(2, 2.0, {"OMP_NUM_THREADS": "2"}) is None
    assert sensible_threads(2, 2.0, {"OMP_NUM_THREADS": ""}) == 1


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads of torch on two cores, and an environment that says nothing of them."""
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is put back afterwards
    monkeypatch.setattr(processes, "_cores", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("load", "given", "threads"), [(1.0, "", 1), (9.0, "", 1), (0.1, "", 2), (9.0, "2", 2)])
def test_torch_leaves_busy_cores_alone_unless_the_environment_decides(
    load: float, given: str, threads: int, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_load", lambda cores: load)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    limit_threads()
    assert torch.get_num_threads() == threads
    assert os.environ["OMP_NUM_THREADS"] == (str(threads) if threads == 1 else given)


def test_torch_imported_later_has_the_number_too() -> None:
    script = (
        "from unlearn_audit import processes\n"
        "processes._cores, processes._load = lambda: 2, lambda cores: 1.0\n"
        "processes.limit_threads()\n"
        "import torch\n"
        "print(torch.get_num_threads())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip() == "1"


class Node:
    """In a circle with itself: only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def unfrozen(monkeypatch) -> Iterator[None]:
    """As in a user's process: nothing is frozen, as conftest.py freezes what it imported."""
    monkeypatch.setattr(processes, "_is_frozen", False)
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


def test_only_what_is_made_in_the_block_is_collected_in_it_and_at_its_end(unfrozen) -> None:
    gc.collect()
    gc.disable()
    try:
        old = weakref.ref(Node())
        with new_garbage_alone():
            gc.collect()
            assert old() is not None  # was there before, and nobody went through it
            new = weakref.ref(Node())
        assert new() is None and gc.get_freeze_count() == 0
        gc.collect()
        assert old() is None
    finally:
        gc.enable()


def test_what_somebody_else_froze_stays_frozen(unfrozen) -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with new_garbage_alone():
        assert gc.get_freeze_count() <= frozen
    assert gc.get_freeze_count() > 0


def test_a_training_on_a_cpu_goes_through_no_older_objects(unfrozen) -> None:
    counts = []

    class Counts(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            counts.append(gc.get_freeze_count())

    images = tiny_images()
    config = TrainingConfig(epochs=1, batch_size=32, precision="float32", checkpoints=0)
    fit(tiny_resnet(images), images, config, seed=0, progress=False, callbacks=[Counts()])
    assert counts[0] > 10_000 and gc.get_freeze_count() == 0
