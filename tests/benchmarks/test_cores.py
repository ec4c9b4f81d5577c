"""The model of a study on many cores keeps the bounds of any schedule, and gives what was measured with two."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.cores import MEASURED, Costs, Stage, chains, makespan, predicted, study, table

DOCS = Path(__file__).parents[2] / "docs"
COSTS = Costs(training=9.0, unlearning=3.0, predictions=1.0, audit=4.0)


def test_one_process_does_one_stage_after_the_other():
    stages = study(COSTS, references=4)
    assert makespan(stages, 1) == pytest.approx(sum(stage.seconds for stage in stages.values()))
    assert predicted(COSTS, 4, 1) == pytest.approx(7 + makespan(stages, 1))


@pytest.mark.parametrize("processes", [2, 3, 8, 40])
def test_no_schedule_is_shorter_than_its_longest_chain_or_its_share_of_all_work(processes: int):
    stages = study(COSTS, references=8)
    work = sum(stage.seconds for stage in stages.values())
    took = makespan(stages, processes)
    longest = 9 + 3 + 1 + 4  # original, method, its predictions, audit
    assert max(longest, work / processes) <= took <= longest + work / processes
    assert makespan(stages, 40) == longest


def test_a_stage_waits_for_what_it_needs():
    stages = {"a": Stage(1.0), "b": Stage(2.0, ("a",)), "c": Stage(5.0)}
    assert chains(stages) == {"a": 2, "b": 1, "c": 1}
    assert makespan(stages, 2) == 5.0
    assert makespan({"a": Stage(1.0), "b": Stage(2.0, ("a",))}, 2) == 3.0
    assert makespan(stages, 2, inflation=1.5) == 7.5


@pytest.mark.parametrize("model", MEASURED)
def test_the_model_gives_the_ratio_that_was_measured_with_two_processes(model: str):
    ratios = json.loads((DOCS / "benchmarks.json").read_text(encoding="utf-8"))["ratios"]
    (measured,) = (ratio["ratio"] for ratio in ratios if ratio["what"].startswith(f"a study of {model} "))
    costs = MEASURED[model]
    assert predicted(costs, 4, 1) / predicted(costs, 4, 2) == pytest.approx(measured, rel=0.15)


def test_the_page_holds_the_table():
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert [line for line in table().splitlines() if line not in page] == []
