"""Files are streamed: the same report as from memory, and memory that does not hold their logits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.benchmarks.made_up import request_for, write_models
from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.neighbours import NeighbourSource, neighbourhood_of
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.running import run_audit

PEAK = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from unlearn_audit.auditing.discrepancy import discrepancies
from unlearn_audit.predictions import PredictionsFile
from unlearn_audit.measures import registry
for folder in sys.argv[1:]:
    files = [PredictionsFile(f"{folder}/{name}.parquet") for name in ("candidate", "retrained-0", "retrained-1")]
    discrepancies(files[:1], files[1:], np.ones((len(files[0]), 1), dtype=bool), [registry.create("js")])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_the_report_is_that_of_predictions_in_memory(tmp_path) -> None:
    write_models(tmp_path, examples=3000, classes=20, references=3)
    request = request_for(tmp_path, 3)
    streamed = run_audit(request, base=tmp_path)

    def loaded(name: str) -> AuditedModel:
        return AuditedModel((Predictions.load(tmp_path / f"{name}.parquet"),))

    subject = AuditSubject(
        candidates={"candidate": loaded("candidate")},
        references={name: loaded(name) for name in request.references},
        original=loaded("original"),
        untrained=loaded("untrained"),
        forget_ids=(tmp_path / "forget.txt").read_text().split(),
        forget_hash=streamed.report.forget_set.hash,
    )
    source = NeighbourSource(tmp_path / "proximities.parquet", "proximity")
    held = audit_subject(
        subject, neighbourhood_of(request.neighbourhood, subject, source), provenance=streamed.report.provenance
    )
    assert held.report == streamed.report
    assert held.ledger.equals(streamed.ledger)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_examples_times_classes(tmp_path) -> None:
    """Models of 8 MB and of 41 MB of logits: what the second needs more is far less than what it reads more."""
    sizes = (4_096, 20_480)
    for examples in sizes:
        write_models(tmp_path / str(examples), examples=examples, classes=1000, references=2)
    command = [sys.executable, "-c", PEAK, *(str(tmp_path / str(examples)) for examples in sizes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    small, large = map(float, done.stdout.split())
    read_more = 3 * (sizes[1] - sizes[0]) * 1000 * np.dtype(np.float16).itemsize / 2**20  # MiB
    assert large - small < read_more / 5, (small, large)
