"""The example of the README, run as a person runs it, outside the checkout."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from tests.examples.conftest import copied
from tests.shortening import shortened
from unlearn_audit.data import load_images
from unlearn_audit.models import load_model, predict


@pytest.mark.slow
def test_it_runs_and_leaves_a_model_that_still_reads_digits(quick_commands, tmp_path) -> None:
    script = copied("trainer_callback.py", tmp_path)
    script.write_text(shortened(script.read_text(), 6))
    subprocess.run(["python", script], check=True, cwd=tmp_path, env=quick_commands, timeout=300)
    found = predict(load_model(tmp_path / "runs/trainer_callback/unlearned"), load_images("digits").test)
    assert np.mean(found.logits.argmax(axis=1) == found.labels) > 0.85
