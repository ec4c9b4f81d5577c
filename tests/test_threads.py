"""How many threads a program takes on a machine that others use too."""

import os
import subprocess
import sys

import pytest

from unlearn_audit.threads import choose_threads, torch_threads


@pytest.mark.parametrize(
    ("cores", "load", "expected"),
    [(2, 0.0, 2), (2, 0.4, 2), (2, 1.0, 1), (2, 17.6, 1), (16, 3.2, 13), (1, 0.0, 1), (4, 4.0, 1)],
)
def test_free_cores_are_taken_and_one_always(cores, load, expected):
    assert choose_threads(cores, load) == expected


def test_more_load_never_means_more_threads():
    chosen = [choose_threads(8, load / 4) for load in range(60)]
    assert chosen == sorted(chosen, reverse=True) and chosen[0] == 8 and chosen[-1] == 1


def threads_in_a_process(**environment):
    script = (
        "import os, torch\nos.getloadavg = lambda: (99.0, 0.0, 0.0)\n"
        "from unlearn_audit.threads import use_free_cores\nuse_free_cores()\nprint(torch.get_num_threads())"
    )
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    shown = subprocess.run(
        [sys.executable, "-c", script], env={**kept, **environment}, capture_output=True, text=True, check=True
    )
    return int(shown.stdout)


def test_a_busy_machine_gives_one_thread_unless_the_environment_says_how_many():
    assert threads_in_a_process() == 1
    assert threads_in_a_process(OMP_NUM_THREADS="2") == 2


def test_threads_are_given_back_after_an_error():
    import torch

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
