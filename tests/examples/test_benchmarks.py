"""The benchmarks of all of CIFAR-100 that lie in examples/: whole, and judging an original as one that remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from unlearn_audit import load_model
from unlearn_audit.calibration.benchmark import Benchmark
from unlearn_audit.saved.request import ModelFiles
from unlearn_audit.saved.running import run_audit

pytestmark = pytest.mark.slow

FOLDERS = sorted((Path(__file__).parents[2] / "examples" / "benchmarks").iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_benchmark_is_whole_and_tells_an_original_from_a_retrained_model(folder):
    benchmark = Benchmark.load(folder)
    benchmark.verify()
    originals, retrained = benchmark.models("originals"), benchmark.models("retrained")
    *references, honest = retrained
    candidates = {"untouched": ModelFiles(originals["original-02"].predictions), "honest": retrained[honest]}
    report = run_audit(benchmark.request(candidates, references=len(references))).report
    forgotten = {
        name: next(a for a in report.judgements[name].answers if a.question == "forgotten") for name in candidates
    }
    assert (forgotten["untouched"].outcome, forgotten["untouched"].how) == ("fail", "remembers")
    assert forgotten["honest"].outcome != "fail"


def test_the_originals_themselves_lie_in_the_first(tmp_path):
    (folder,) = [folder for folder in FOLDERS if (folder / "models").is_dir()]
    models = [load_model(path) for path in sorted((folder / "models").iterdir())]
    assert [model.num_labels for model in models] == [100, 100]
