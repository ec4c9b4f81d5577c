"""Tuning: the goal against plain sums, the search in a stock Trainer, and going on where it was cut off."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from tests.tiny import CLASSES, tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.experiment.tuning import GROUPS, Goal, SearchConfig, tune
from unlearn_audit.methods import registry
from unlearn_audit.models import predict, weights_hash
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.training import TrainingConfig

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
TRAINING = TrainingConfig(epochs=1, batch_size=16, precision="float32", scheduler="constant")
SEARCH = SearchConfig(learning_rate=(1e-4, 1e-1), epochs=(1, 2))
QUARTERS = NeighbourhoodConfig(number=4)


def predicted(seed: int):
    """A model's embeddings, with logits that differ from model to model as those of trained ones do."""
    logits = np.random.default_rng(seed).normal(size=(len(IMAGES), CLASSES)).astype(np.float32)
    return dataclasses.replace(predict(tiny_resnet(IMAGES, seed=seed), IMAGES), logits=logits)


def goal_of(**options) -> Goal:
    held_out, original = predicted(9), predicted(0)
    return Goal.of(held_out, original, FORGET, IMAGES, **{"neighbourhood": QUARTERS, "strata": 1, **options})


def search(folder, *, trials: int, name: str = "gradient_ascent", goal: Goal | None = None, **options):
    original = tiny_resnet(IMAGES)
    before = weights_hash(original)
    found = tune(
        original,
        IMAGES,
        FORGET,
        registry.load(name)(seed=3, **options),
        TRAINING,
        search=SEARCH,
        goal=goal or goal_of(),
        trials=trials,
        folder=folder,
    )
    assert weights_hash(original) == before
    return found


def test_the_goal_compares_each_group_with_the_held_out_model() -> None:
    goal = goal_of()
    forget = FORGET.mask(IMAGES)
    held_out, original = predicted(9), predicted(0)
    unit = original.embeddings / np.linalg.norm(original.embeddings, axis=1, keepdims=True)
    centre = original.embeddings[forget].mean(axis=0)
    cosine = unit @ (centre / np.linalg.norm(centre))
    near = ~forget & (cosine > np.quantile(cosine[~forget], 0.75))
    probabilities = [softmax(model.logits.astype(np.float64), axis=1) for model in (original, held_out)]
    js = jensenshannon(*probabilities, base=2, axis=1) ** 2
    expected = {"forget": js[forget].mean(), "near": js[near].mean(), "far": js[~forget & ~near].mean()}
    assert sorted(goal.rows) == list(range(len(IMAGES)))
    assert goal.unchanged == pytest.approx(expected, rel=1e-4)
    assert goal.objective(goal.unchanged) == pytest.approx(1)
    halved = {name: value / 2 for name, value in goal.unchanged.items()}
    assert goal.objective({**goal.unchanged, "near": halved["near"]}) == pytest.approx(2.5 / 3)


def test_a_model_that_diverged_is_as_far_as_can_be() -> None:
    goal = goal_of()
    assert goal.discrepancy(np.full(goal.logits.shape, np.nan)) == dict.fromkeys(GROUPS, 1.0)


def test_the_goal_takes_at_most_so_many_examples_of_a_group() -> None:
    goal = goal_of(most=3)
    assert np.bincount(goal.group).tolist() == [3, 3, 3]


def test_a_group_without_examples_is_an_error() -> None:
    with pytest.raises(AuditError, match="'far' to tune on"):
        goal_of(strata=4)


def test_the_best_of_all_trials_is_found_and_all_are_kept(tmp_path) -> None:
    found = search(tmp_path, trials=5)
    assert len(found.trials) == 5
    best = min(found.trials, key=lambda trial: trial.objective)
    assert found.training.learning_rate == pytest.approx(best.learning_rate, rel=0.005)
    assert found.training.epochs == best.epochs
    assert len({trial.learning_rate for trial in found.trials}) == 5
    assert all(1e-4 <= trial.learning_rate <= 1e-1 and trial.epochs in (1, 2) for trial in found.trials)
    assert dataclasses.replace(found.training, learning_rate=0.1, epochs=1) == TRAINING


def test_a_trial_measures_what_unlearning_with_its_values_gives(tmp_path) -> None:
    from unlearn_audit.training import unlearn

    goal = goal_of()
    trial = search(tmp_path, trials=1, goal=goal).trials[0]
    training = dataclasses.replace(TRAINING, learning_rate=trial.learning_rate, epochs=trial.epochs)
    run = unlearn(
        tiny_resnet(IMAGES), IMAGES, FORGET, registry.load("gradient_ascent")(seed=3), training, progress=False
    )
    logits = predict(run.model, IMAGES).logits[goal.rows]
    assert trial.discrepancy == pytest.approx(goal.discrepancy(logits), rel=1e-3)
    assert trial.objective == pytest.approx(goal.objective(trial.discrepancy))


@pytest.mark.parametrize("name", ["salun", "local_teacher_distillation"])
def test_methods_that_prepare_something_are_tuned_too(name: str, tmp_path) -> None:
    options = {"n_support": 16, "teacher_epochs": 1} if name != "salun" else {}
    assert len(search(tmp_path, trials=2, name=name, **options).trials) == 2


def test_a_search_that_was_cut_off_goes_on_to_the_same_trials(tmp_path, monkeypatch) -> None:
    whole = search(tmp_path / "whole", trials=4)
    evaluate, evaluations = Goal.discrepancy, []

    def cut_off(self, logits):
        evaluations.append(1)
        if len(evaluations) == 3:
            raise KeyboardInterrupt
        return evaluate(self, logits)

    goal = goal_of()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Goal, "discrepancy", cut_off)
        search(tmp_path / "cut", trials=4, goal=goal)
    resumed = search(tmp_path / "cut", trials=4, goal=goal)
    for one, other in zip(whole.trials, resumed.trials, strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)


def test_a_search_does_not_go_on_from_another_one(tmp_path) -> None:
    first = search(tmp_path, trials=1).trials
    other = search(tmp_path, trials=1, goal=goal_of(most=3)).trials
    fresh = search(tmp_path / "fresh", trials=1, goal=goal_of(most=3)).trials
    assert other[0].objective == fresh[0].objective != first[0].objective


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": (0.1,)}, "lowest and the highest"),
        ({"learning_rate": (0.1, 0.01)}, "lowest and the highest"),
        ({"learning_rate": (0.0, 0.01)}, "positive"),
        ({"learning_rate": (0.01, 0.1), "epochs": (0,)}, "positive numbers"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(options, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SearchConfig(**options)


def test_without_optuna_the_error_says_what_to_install(tmp_path, monkeypatch) -> None:
    import sys

    goal = goal_of()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigurationError, match=r"unlearn-audit\[tune\]"):
        search(tmp_path, trials=1, goal=goal)
