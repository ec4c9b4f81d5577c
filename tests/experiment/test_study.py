"""Planning a study: which stages there are, and what their hashes depend on."""

import dataclasses
import json
from pathlib import Path

import pytest

from unlearn_audit.errors import ConfigurationError, DataError
from unlearn_audit.experiment import Study, read_study
from unlearn_audit.experiment.config import ForgetConfig, written
from unlearn_audit.experiment.stages import stage_named

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIGURATION = """\
data: {source: digits}
forget: {label: 8, fraction: 0.5}
model: {name: resnet8}
training: {epochs: 1, batch_size: 256}
references: 2
methods:
  gradient_ascent:
    training: {epochs: 1, learning_rate: 1e-3}
  rl:
    method: random_labels
    retain_share: 1.0
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIGURATION)

    def planned(*settings):
        return Study.plan(read_study(path, settings=settings), tmp_path / "out")

    return planned


def hashes(study):
    return {stage.name: stage.hash for stage in study.stages}


def changed(before, after):
    old, new = hashes(before), hashes(after)
    return {name for name in new if new[name] != old.get(name)}


def test_a_study_has_a_stage_for_each_model_its_predictions_and_the_audit(plan):
    models = {"original", "untrained", "retrained-1", "retrained-2", "gradient_ascent", "rl"}
    names = [stage.name for stage in plan().stages]
    assert set(names) == models | {f"predict-{model}" for model in models} | {"seal", "forget", "audit", "report"}
    assert len(names) == len(set(names))


def test_a_plan_is_the_same_every_time(plan):
    assert hashes(plan()) == hashes(plan())


def test_a_method_s_change_leaves_other_models_alone(plan):
    assert changed(plan(), plan("methods.rl.retain_share=0.5")) == {"rl", "predict-rl", "audit", "report"}


def test_another_forget_set_leaves_the_original_alone(plan):
    kept = {"original", "predict-original", "untrained", "predict-untrained"}
    assert changed(plan(), plan("forget.seed=1")) == set(hashes(plan())) - kept


def test_one_more_reference_adds_stages_and_changes_the_audit_alone(plan):
    assert changed(plan(), plan("references=3")) == {"retrained-3", "predict-retrained-3", "seal", "audit", "report"}


def test_a_policy_s_change_leaves_all_models_alone(plan):
    assert changed(plan(), plan("policy.alpha=0.01")) == {"seal", "audit", "report"}


def test_the_seal_comes_first_and_adding_a_method_leaves_it(plan):
    assert plan().stages[0].name == "seal"
    assert "seal" not in changed(plan(), plan("methods.rl=false"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_configuration_that_is_written_is_read_as_the_same(path, tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES.parent)
    try:
        config = read_study(path)
    except ConfigurationError:  # a leaderboard, a policy
        pytest.skip("no study")
    (tmp_path / path.name).write_text(written(config))
    assert read_study(tmp_path / path.name) == config


def test_settings_that_change_no_result_change_no_stage(plan):
    settings = ["training.checkpoints=3", "threads=1", "predictions.batch_size=7"]
    assert changed(plan(), plan(*settings)) == set()


def test_a_method_that_is_false_is_left_out(plan):
    assert "rl" not in hashes(plan("methods.rl=false"))


def test_several_candidates_of_a_method_have_their_own_seeds(plan):
    study = plan("candidates=2")
    seeds = [stage_named(study.stages, f"rl-{j}").seed for j in (1, 2)]
    assert seeds == [1, 2]
    models = stage_named(study.stages, "audit").candidates["rl"]
    assert [predictions.model.name for predictions in models] == ["rl-1", "rl-2"]


def test_original_and_retrained_models_each_have_their_own_seed(plan):
    stages = plan().stages
    seeds = [stage_named(stages, name).seed for name in ("original", "retrained-1", "retrained-2")]
    assert seeds == [0, 1, 2]


def test_a_method_keeps_its_own_training_defaults_where_nothing_is_said(plan):
    training = stage_named(plan().stages, "rl").method.training
    assert (training.learning_rate, training.epochs, training.nesterov) == (1e-4, 10, False)
    assert stage_named(plan().stages, "gradient_ascent").method.training.learning_rate == 1e-3


def test_inputs_are_json_and_hold_no_path(plan, tmp_path):
    for stage in plan().stages:
        text = json.dumps(stage.inputs)
        assert json.loads(text)["data"] == {"fingerprint": stage.data.fingerprint}
        assert str(tmp_path) not in text


def test_data_that_changed_since_planning_is_refused(plan):
    data = stage_named(plan().stages, "original").data
    with pytest.raises(DataError, match="Expected the data that the study was planned for"):
        dataclasses.replace(data, fingerprint="0" * 64).load()


def test_a_forget_set_that_changed_since_planning_is_refused(plan):
    stage = stage_named(plan().stages, "forget")
    images = stage.data.load().train
    assert stage.forget.choose(images).hash == stage.forget.hash
    with pytest.raises(DataError, match="Expected the forget set that the study was planned for"):
        dataclasses.replace(stage.forget, config=ForgetConfig(fraction=0.5)).choose(images)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("methods.rl.retain=1", "methods.rl.retain: there is no such key. Did you mean 'retain_share'"),
        ("methods.rl.method=random_label", "no method 'random_label'. Did you mean 'random_labels'"),
        ("methods.rl.seed=3", "methods.rl.seed: there is no such key"),
        ("methods.rl.retain_share=2", r"methods.rl.retain_share: .*in \[0, 1\], got 2.0"),
        ("methods.rl.training.epoch=3", "methods.rl.training.epoch: there is no such key. Did you mean 'epochs'"),
        ("training.optimizer=adam", "training.optimizer: .*'sgd', 'adamw'.*got 'adam'"),
        ("references=0", "references: expected at least 1 or a list"),
        ("forget.file=x.txt", "forget: Expected a file of ids alone"),
        ("methods.audit.method=finetune", "methods: Expected names under methods .* got 'audit'"),
        ("policy.alpha=2", "--set policy.alpha=2: policy.alpha: expected a number between"),
        ("policy.measure=jss", "policy.measure: There is no measure 'jss'. Did you mean 'js'"),
        ("measures=[js, tvv]", r"measures\[1\]: There is no measure 'tvv'. Did you mean 'tv'"),
        ("neighbourhood.proximity=centre", "neighbourhood.proximity: There is no proximity 'centre'"),
        ("neighbourhood.strata=tops", "neighbourhood.strata: There is no kind of strata .tops."),
        ("predictions.precision=float16", "predictions.precision: expected 'float32' or 'bfloat16', got 'float16'"),
        ("methods.rl.search.learning_rat=[1, 2]", "methods.rl.search.learning_rat: .*Did you mean 'learning_rate'"),
        ("methods.rl=3", "methods.rl: expected keys and values, got 3"),
        ("neighbourhood.strat=top", "neighbourhood.strat: there is no such key. Did you mean 'strata'"),
    ],
)
def test_wrong_settings_are_named(plan, setting, message):
    with pytest.raises(ConfigurationError, match=message):
        plan(setting)


def test_mistakes_in_methods_and_elsewhere_are_told_together(plan):
    with pytest.raises(ConfigurationError) as raised:
        plan("methods.rl.retain=1", "training.epochs=x", "policy.measure=jss")
    assert len(str(raised.value).splitlines()) == 3


def test_a_section_with_nothing_in_it_changes_nothing(plan):
    assert changed(plan(), plan("policy=null", "methods.gradient_ascent.search=false")) == set()


def test_arguments_that_are_false_reach_the_architecture(plan):
    study = plan("model={name: vit_tiny_patch4, arguments: {qkv_bias: false}}")
    assert study.config.model.arguments == {"qkv_bias": False}


def test_an_unknown_engine_is_named_with_those_there_are(plan):
    with pytest.raises(ConfigurationError, match=r"no engine 'rey'\. Did you mean 'ray'"):
        plan().run(engine="rey")
