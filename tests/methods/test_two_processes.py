"""Two CPU processes give what one gives."""

from __future__ import annotations

import ast
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.methods import two_processes
from unlearn_audit.predictions import Predictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(quick_commands, tmp_path_factory) -> tuple[Path, Path]:
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    environment = {**quick_commands, **meeting, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = ["python", two_processes.__file__, str(two)]
    started = [subprocess.Popen(command, env={**environment, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    assert [process.wait(timeout=600) for process in started] == [0, 0]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as they have: with other sums an attack may stop a step earlier
    two_processes.run(one)
    torch.set_num_threads(threads)
    return one, two


def test_there_were_two(folders) -> None:
    assert [(folders[1] / f"world-{rank}").read_text() for rank in (0, 1)] == ["2", "2"]


@pytest.mark.parametrize("name", [*two_processes.METHODS, "retrained", "retrained_fast"])
def test_weights_and_cost_are_the_same(folders, name: str) -> None:
    one, two = (load_file(folder / f"{name}.safetensors") for folder in folders)
    assert one.keys() == two.keys()
    for key in one:
        torch.testing.assert_close(one[key], two[key], rtol=1e-3, atol=1e-5)
    costs = [ast.literal_eval((folder / "examples").read_text()) for folder in folders]
    assert costs[0][name] == costs[1][name]


def test_predictions_are_bit_for_bit_the_same_and_without_duplicates(folders) -> None:
    one, two = (Predictions.load(folder / "untrained.parquet") for folder in folders)
    np.testing.assert_array_equal(one.example_ids, two.example_ids)
    np.testing.assert_array_equal(one.logits, two.logits)
    np.testing.assert_array_equal(one.embeddings, two.embeddings)
    assert len(two) == 64
