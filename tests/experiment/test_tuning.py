"""Tuning: the goal against plain sums, the search in a stock Trainer, and going on where it was cut off."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from tests.tiny import CLASSES, tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import AuditError, ConfigurationError, ModelError
from unlearn_audit.experiment.config import MethodConfig, _search_of, read_study
from unlearn_audit.experiment.stages.tuned import TunedMethod
from unlearn_audit.experiment.study import Study
from unlearn_audit.experiment.tuning import GROUPS, Distance, Goal, SearchConfig, tune
from unlearn_audit.methods import registry
from unlearn_audit.models import predict, weights_hash
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.training import TrainingConfig

pytestmark = pytest.mark.slow

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


def search(
    folder,
    *,
    trials: int,
    name: str = "gradient_ascent",
    goal: Goal | None = None,
    search_config=SEARCH,
    most_seconds: float | None = None,
    **options,
):
    original = tiny_resnet(IMAGES)
    before = weights_hash(original)
    found = tune(
        original,
        IMAGES,
        FORGET,
        registry.load(name)(seed=3, **options),
        TRAINING,
        search=search_config,
        goal=goal or goal_of(),
        trials=trials,
        folder=folder,
        most_seconds=most_seconds,
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
    assert goal.unchanged.pattern == pytest.approx(expected, rel=1e-4)
    rows = np.arange(len(IMAGES))
    gained = np.subtract(*(each[rows, held_out.labels] for each in probabilities))
    means = {"forget": gained[forget].mean(), "near": gained[near].mean(), "far": gained[~forget & ~near].mean()}
    assert goal.unchanged.level == pytest.approx(means, abs=1e-5)
    lost = max(0.0, -means["near"], -means["far"]) / 0.05
    by_hand = abs(means["forget"]) / 0.05 + (js[forget].mean() + js[near].mean()) / 0.045 + 10 * max(0, lost - 1)
    assert goal.objective(goal.unchanged) == pytest.approx(by_hand, rel=1e-4)


def distance(forget_level: float, forget_pattern: float, near_pattern: float = 0.02, lost: float = 0.0) -> Distance:
    return Distance(
        pattern={"forget": forget_pattern, "near": near_pattern, "far": 0.01},
        level={"forget": forget_level, "near": -lost, "far": 0.0},
    )


def test_forgetting_is_better_than_nothing_and_destruction_is_worse() -> None:
    goal = goal_of()
    nothing = goal.objective(distance(0.3, 0.1))
    forgot = goal.objective(distance(0.02, 0.04, near_pattern=0.03, lost=0.04))
    destroyed = goal.objective(distance(0.0, 0.02, near_pattern=0.1, lost=0.2))
    assert forgot < nothing < destroyed


def test_what_all_trials_share_leaves_their_order() -> None:
    """So the noise floor of the held-out model need not be known."""
    goal = goal_of()
    pairs = [(distance(0.3, 0.05 + floor), distance(0.1, 0.10 + floor)) for floor in (0.0, 0.04)]
    gaps = [goal.objective(one) - goal.objective(other) for one, other in pairs]
    assert gaps[0] == pytest.approx(gaps[1]) and gaps[0] > 0


def test_a_model_that_diverged_is_as_far_as_can_be() -> None:
    goal = goal_of()
    found = goal.distance(np.full(goal.logits.shape, np.nan))
    assert found.pattern == dict.fromkeys(GROUPS, 1.0)
    assert all(level < 0 for level in found.level.values())


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
    expected = goal.distance(logits)
    assert trial.distance.pattern == pytest.approx(expected.pattern, rel=1e-3)
    assert trial.distance.level == pytest.approx(expected.level, abs=1e-4)
    assert trial.objective == pytest.approx(goal.objective(trial.distance))


@pytest.mark.parametrize("name", registry.names())
def test_each_method_says_what_to_try_and_takes_all_of_it(name: str) -> None:
    search = MethodConfig.from_entry({"method": name, "search": "default"}).search
    assert search is not None and (search.learning_rate or search.options)
    trained = registry.load(name).training_defaults["epochs"] > 0
    assert bool(search.learning_rate) is trained  # edits alone have no rate


def test_a_method_that_names_nothing_to_try_is_told() -> None:
    class Silent:
        search_space = None

    with pytest.raises(ConfigurationError, match="does not say what to try"):
        _search_of(Silent, "default")
    assert _search_of(Silent, False) is None


def test_options_of_the_method_are_searched_and_trained_with(tmp_path) -> None:
    from unlearn_audit.training import unlearn

    goal, choices = goal_of(), (0.01, 1.0)
    only = SearchConfig(options={"gamma": choices})
    options = {"max_epochs": 1, "freeze_batchnorm": False}
    tuned = search(tmp_path, trials=4, name="scrub", goal=goal, search_config=only, **options)
    assert {trial.options["gamma"] for trial in tuned.trials} == set(choices)
    assert tuned.training == TRAINING
    best = min(tuned.trials, key=lambda trial: trial.objective)
    assert tuned.options == best.options
    method = registry.load("scrub")(seed=3, **options, **best.options)
    run = unlearn(tiny_resnet(IMAGES), IMAGES, FORGET, method, TRAINING, progress=False)
    logits = predict(run.model, IMAGES).logits[goal.rows]
    assert best.distance.pattern == pytest.approx(goal.distance(logits).pattern, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "options"),
    [("last_layers", {"layers": 1}), ("boundary_expand", {}), ("scrub", {"max_epochs": 1}), ("sfron", {})],
)
def test_the_model_of_each_trial_is_set_up_as_that_of_any_trainer(name: str, options, tmp_path) -> None:
    """Frozen layers, one class more, planned steps of other epochs: what methods do when a Trainer is built."""
    from unlearn_audit.training import unlearn

    goal, only = goal_of(), SearchConfig(learning_rate=(1e-3, 1e-2), epochs=(2,))
    tuned = search(tmp_path, trials=2, name=name, goal=goal, search_config=only, **options)
    for trial in tuned.trials:
        training = dataclasses.replace(TRAINING, learning_rate=trial.learning_rate, epochs=trial.epochs)
        method = registry.load(name)(seed=3, **options)
        run = unlearn(tiny_resnet(IMAGES), IMAGES, FORGET, method, training, progress=False)
        logits = predict(run.model, IMAGES).logits[goal.rows]
        assert trial.distance.pattern == pytest.approx(goal.distance(logits).pattern, rel=1e-3)


@pytest.mark.parametrize("name", ["salun", "local_teacher_distillation"])
def test_methods_that_prepare_something_are_tuned_too(name: str, tmp_path) -> None:
    options = {"n_support": 16, "teacher_epochs": 1} if name != "salun" else {}
    assert len(search(tmp_path, trials=2, name=name, **options).trials) == 2


def test_a_search_that_was_cut_off_goes_on_to_the_same_trials(tmp_path, monkeypatch) -> None:
    whole = search(tmp_path / "whole", trials=4)
    evaluate, evaluations = Goal.distance, []

    def cut_off(self, logits):
        evaluations.append(1)
        if len(evaluations) == 3:
            raise KeyboardInterrupt
        return evaluate(self, logits)

    goal = goal_of()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Goal, "distance", cut_off)
        search(tmp_path / "cut", trials=4, goal=goal)
    resumed = search(tmp_path / "cut", trials=4, goal=goal)
    for one, other in zip(whole.trials, resumed.trials, strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)


def test_a_trial_that_diverges_is_the_worst_and_not_the_end(tmp_path, monkeypatch) -> None:
    def finite_below_a_hundredth(model, args, state) -> None:
        if args.learning_rate > 0.01:
            raise ModelError("Expected finite weights, got NaN.")

    monkeypatch.setattr("unlearn_audit.methods.base.check_finite", finite_below_a_hundredth)
    found = search(tmp_path, trials=4)
    assert 0 < found.diverged < 4 and len(found.trials) + found.diverged == 4
    assert all(np.isfinite(trial.objective) and trial.learning_rate <= 0.01 for trial in found.trials)
    assert search(tmp_path, trials=4).trials == found.trials  # done, the diverged ones too
    with pytest.raises(ModelError, match="all 2 diverged"):
        search(tmp_path / "all", trials=2, search_config=SearchConfig(learning_rate=(0.02, 0.1)))


def test_only_trials_that_are_cheap_enough_are_chosen_with_what_they_prepared(tmp_path) -> None:
    whole = search(tmp_path, trials=4, name="salun")
    (kept,) = tmp_path.rglob("prepared.json")
    assert float(kept.read_text()) > 0  # the saliency mask
    kept.write_text("100.0")
    cheapest = sorted(trial.seconds for trial in whole.trials)[:2]
    found = search(tmp_path, trials=4, name="salun", most_seconds=100 + cheapest[1])
    assert found.trials == whole.trials
    best = min((t for t in whole.trials if t.seconds <= cheapest[1]), key=lambda trial: trial.objective)
    assert (found.training.epochs, found.training.learning_rate) == (
        best.epochs,
        pytest.approx(best.learning_rate, 1e-2),
    )
    with pytest.raises(ModelError, match=r"at most 100 s .*the shortest took 10\d"):
        search(tmp_path, trials=4, name="salun", most_seconds=100.0)


STUDY = """\
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
references: 3
methods: {gradient_ascent: {search: {learning_rate: [1e-3, 1e-2]}}}
"""


@pytest.mark.parametrize(("tuning", "seconds"), [("", None), ("tuning: {most_cost: 0.1}", 5.0)])
def test_the_most_that_a_trial_may_cost_is_a_share_of_one_retraining(tuning, seconds, tmp_path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY + tuning)
    stages = Study.plan(read_study(tmp_path / "study.yaml"), tmp_path / "out").stages
    (stage,) = (stage for stage in stages if isinstance(stage, TunedMethod))
    took = {"held-out": {"seconds": 50.0}}
    assert stage._most_seconds(SimpleNamespace(results_of=lambda need: took[need.name])) == seconds
    assert ("most_cost" in stage.inputs["tuning"]) is bool(tuning)  # older studies keep their stages
    if tuning:
        took["held-out"] = {"seconds": None}
        with pytest.raises(ConfigurationError, match="how long retraining took"):
            stage._most_seconds(SimpleNamespace(results_of=lambda need: took[need.name]))


def test_a_search_does_not_go_on_from_another_one(tmp_path) -> None:
    first = search(tmp_path, trials=1).trials
    other = search(tmp_path, trials=1, goal=goal_of(most=3)).trials
    fresh = search(tmp_path / "fresh", trials=1, goal=goal_of(most=3)).trials
    assert other[0].objective == fresh[0].objective != first[0].objective


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "none of them"),
        ({"options": {"alpha": ()}}, "'alpha', got none"),
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
