"""Oracle matching: its loss by hand, that it comes to say what the oracle says, and where a study takes one from."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from tests.methods.small import ORACLE
from tests.tiny import tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import MethodError
from unlearn_audit.experiment.config import StudyConfig, read_study
from unlearn_audit.experiment.study import Study
from unlearn_audit.methods import OracleMatching
from unlearn_audit.models import load_model, predict, save_model
from unlearn_audit.training import TrainingConfig, fit, training_examples, unlearn

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
STUDY = """\
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
references: 3
methods:
  control: {method: oracle_matching}
  searched: {method: oracle_matching, search: {learning_rate: [1e-3, 1e-2]}}
  mine: {method: oracle_matching, oracle: FOLDER}
  gradient_ascent: {}
"""


def test_the_loss_is_the_mean_square_to_what_the_oracle_says_of_the_same_view() -> None:
    model, oracle = tiny_resnet(IMAGES).eval(), load_model(ORACLE).eval()
    method = OracleMatching(oracle=str(ORACLE))
    method.prepare(model, training_examples(model, IMAGES, FORGET))
    views = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, wanted = model(pixel_values=views).logits, oracle(pixel_values=views).logits
    found = method.per_example_loss(logits, {"pixel_values": views})
    expected = [sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / 4 for x, y in zip(logits, wanted, strict=True)]
    np.testing.assert_allclose(found, torch.stack(expected), rtol=1e-5)


def test_it_comes_to_say_what_a_retrained_model_says_on_forget_and_retain_examples(original, tmp_path) -> None:
    shared = {"batch_size": 16, "augment": False, "precision": "float32", "checkpoints": 0}
    training = TrainingConfig(epochs=4, learning_rate=0.05, **shared)
    oracle = fit(tiny_resnet(IMAGES, seed=1), IMAGES, training, seed=1, forget=FORGET, progress=False).model
    save_model(oracle, tmp_path / "oracle")
    config = TrainingConfig(epochs=20, learning_rate=3e-3, optimizer="adamw", weight_decay=0.0, **shared)
    method = OracleMatching(oracle=str(tmp_path / "oracle"))
    made = unlearn(copy.deepcopy(original), IMAGES, FORGET, method, config, progress=False).model
    before, after, wanted = (predict(model, IMAGES).logits for model in (original, made, oracle))
    for rows in (mask := FORGET.mask(IMAGES), ~mask):
        assert np.square(after[rows] - wanted[rows]).mean() < 0.2 * np.square(before[rows] - wanted[rows]).mean()


def test_without_an_oracle_it_says_what_is_missing() -> None:
    model = tiny_resnet(IMAGES)
    with pytest.raises(MethodError, match="retrained without the forget set, and that no audit uses"):
        OracleMatching().prepare(model, training_examples(model, IMAGES, FORGET))


def test_a_study_takes_the_model_that_no_audit_uses(tmp_path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace("FOLDER", str(ORACLE)))
    config: StudyConfig = read_study(tmp_path / "study.yaml")
    stages = {stage.name: stage for stage in Study.plan(config, tmp_path / "out").stages}
    held_out = stages["held-out"]
    assert {name for name, stage in stages.items() if "oracle" in stage.needs} == {"control", "searched"}
    assert stages["control"].needs["oracle"] is held_out or stages["control"].needs["oracle"].hash == held_out.hash
    assert held_out.hash not in {stage.hash for role, stage in stages["audit"].needs.items() if "references" in role}
    assert stages["mine"].method.options["oracle"] == str(ORACLE)
