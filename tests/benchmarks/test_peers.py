"""The network that other tools get is ours, ratios are of one round, and the page holds what was measured."""

import json
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks.measuring import Ratio
from tests.benchmarks.peer_code.work import CLASSES, Network, tensors
from tests.benchmarks.peers import OURS, RESULT, TASKS, Worker, first_error, measure, ratios, tables

PAGE = (RESULT.parent / "performance.md").read_text(encoding="utf-8")


def test_other_tools_get_the_network_that_ours_gets():
    import timm

    import unlearn_audit.models.cifar_resnet  # noqa: F401 - registers it

    ours, theirs = timm.create_model("resnet20", num_classes=CLASSES).eval(), Network().eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(ours(images), theirs(images), atol=1e-5)
    assert [len(stage) for stage in (theirs.layer1, theirs.layer2, theirs.layer3)] == [3, 3, 3]


def test_images_as_tensors_are_those_that_the_transforms_of_torchvision_make():
    import numpy as np

    from tests.benchmarks.peer_code.work import Pictures

    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    made, label = Pictures(pixels, np.array([3, 4]))[1]
    assert label == 4 and torch.allclose(made, tensors(pixels)[1], atol=1e-6)


class Fake:
    """A tool that takes as long as it is told, or fails from a round on."""

    def __init__(self, seconds: float, fails: bool = False):
        self.seconds, self.fails, self.asked = seconds, fails, []

    def ask(self, task: str) -> dict:
        self.asked.append(task)
        late = self.fails and len(self.asked) > 4
        return {} if late else {"wall": self.seconds * len(self.asked), "cpu": self.seconds, "said": {}}


def test_all_are_asked_in_turns_and_the_first_round_does_not_count():
    fakes = {OURS: Fake(1.0), "slow": Fake(3.0), "broken": Fake(2.0, fails=True)}
    found, said = measure(fakes, pairs=2)
    assert fakes[OURS].asked == [*TASKS] * 3
    assert {(ratio.against, ratio.what) for ratio in found} == {("slow", what) for what in TASKS.values()}
    assert all(ratio.ratio == ratio.low == ratio.high == ratio.cpu_ratio == 3.0 for ratio in found)
    assert set(said["slow"]) == set(TASKS)


def test_a_ratio_is_of_one_round():
    rounds = [{(OURS, "predict"): (1.0, 1.0), ("a", "predict"): (2.0, 4.0)}]
    rounds += [{(OURS, "predict"): (10.0, 2.0), ("a", "predict"): (40.0, 8.0)}]
    (ratio,) = ratios(rounds)
    assert (ratio.low, ratio.high, ratio.cpu_ratio, ratio.repeats) == (2.0, 4.0, 4.0, 2)


def test_how_a_process_ended_is_told(tmp_path):
    script = "import json; print(json.dumps({'versions': {}}), flush=True); input(); raise ValueError('no such thing')"
    worker = Worker([sys.executable, "-S", "-c", script], tmp_path / "errors.txt")
    assert worker.about == {"versions": {}}
    assert worker.ask("unlearn") == {} == worker.ask("predict")
    assert worker.error == "ValueError: no such thing"
    worker.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Traceback …\n  x\nModuleNotFoundError: No module named 'a'\n", "ModuleNotFoundError: No module named 'a'"),
        ("lib.errors.MisconfigurationException: too few: 0\nend", "lib.errors.MisconfigurationException: too few: 0"),
        ("ValueError: first\n\nDuring handling …\nAttributeError: second\n", "ValueError: first"),
        ("Killed\n", ""),
    ],
)
def test_what_went_wrong_first_is_found(text: str, said: str):
    assert first_error(text) == said


def test_a_tool_that_failed_stands_in_the_table_with_its_error():
    tool = {"versions": {"it": "1"}, "notes": {}, "undeclared": [], "entry": "", "error": "", "said": {}}
    ratio = Ratio(TASKS["predict"], "it", 2.0, 1.5, 2.5, 1.9, None, 1.0, 3)
    found = {"ratios": [vars(ratio)], "tools": {OURS: tool, "it": tool | {"error": "OSError: no"}}}
    row = next(line for line in tables(found).splitlines() if line.startswith("| it |"))
    assert row == "| it | not done | 2.00 (1.50 to 2.50), CPU 1.90 | not done |"
    assert "OSError: no" in tables(found)


def test_the_page_holds_what_was_measured():
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    assert Path(RESULT).name in PAGE
    assert [line for line in tables(found).splitlines() if line and line not in PAGE] == []
