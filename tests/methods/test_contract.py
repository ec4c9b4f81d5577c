"""What every method must keep, found by its name: accumulation, resuming, its teachers, statistics of BatchNorm."""

from __future__ import annotations

import contextlib
import copy
import dataclasses

import pytest
import torch
from torch import nn
from transformers import TrainerCallback

from tests.methods.small import SMALL
from tests.tiny import tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.methods import registry
from unlearn_audit.methods.base import UnlearningCallback
from unlearn_audit.models import weights_hash
from unlearn_audit.training import TrainingConfig, training_examples, unlearn
from unlearn_audit.training.running import run_trainer

pytestmark = pytest.mark.slow

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
WHOLE = TrainingConfig(
    epochs=2,
    learning_rate=0.01,
    batch_size=32,
    optimizer="sgd",
    nesterov=False,
    scheduler="linear",
    precision="float32",
    checkpoints=0,
)
PARTS = dataclasses.replace(WHOLE, accumulation_steps=4, checkpoints=100)


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return tiny_resnet(IMAGES).eval()


def method_named(name: str) -> UnlearningCallback:
    return registry.load(name)(**{**SMALL.get(name, {}), "freeze_batchnorm": True})


def config_of(method: UnlearningCallback, config: TrainingConfig) -> TrainingConfig:
    """Methods that only edit weights train for no epoch."""
    return config if method.training_defaults["epochs"] else dataclasses.replace(config, epochs=0)


def teachers(method: UnlearningCallback) -> list[str]:
    """Return the hashes of all models that a method keeps."""
    kept = [one for value in vars(method).values() for one in (value if isinstance(value, (list, tuple)) else [value])]
    return [weights_hash(model) for model in kept if isinstance(model, nn.Module)]


class Break(TrainerCallback):
    def on_save(self, args, state, control, **kwargs):
        if state.global_step == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", registry.names())
def test_accumulated_broken_off_and_resumed_equals_one_whole_run(name: str, original, tmp_path) -> None:
    method = method_named(name)
    whole = copy.deepcopy(original)
    run = unlearn(whole, IMAGES, FORGET, method, config_of(method, WHOLE), progress=False)
    kept = teachers(method)
    assert run.change.weights > 0 and 0 <= run.change.predictions <= 1
    for (key, before), after in zip(original.named_buffers(), whole.buffers(), strict=True):
        assert torch.equal(before, after), key  # BatchNorm is frozen here
    assert whole.state_dict().keys() == original.state_dict().keys()
    assert [p.requires_grad for p in whole.parameters()] == [p.requires_grad for p in original.parameters()]

    broken, config = copy.deepcopy(original), config_of(method, PARTS)
    dataset = method.prepare(broken, training_examples(broken, IMAGES, FORGET, seed=method.seed))
    with pytest.raises(KeyboardInterrupt) if run.steps > 1 else contextlib.nullcontext():
        run_trainer(broken, dataset, config, method.seed, tmp_path, [Break()], False, method=method)
    assert teachers(method) == kept  # trained alike, and unchanged by the student's training
    if run.steps <= 1:
        assert_close(whole, broken)
        return
    resumed, again = copy.deepcopy(original), method_named(name)
    dataset = again.prepare(resumed, training_examples(resumed, IMAGES, FORGET, seed=again.seed))
    found = run_trainer(resumed, dataset, config, again.seed, tmp_path, [], False, method=again)
    assert found.steps == run.steps and found.examples == run.examples
    assert_close(whole, resumed)


@pytest.mark.parametrize("name", registry.names())
def test_in_mixed_precision_weights_move_and_stay_float32_and_finite(name: str, original) -> None:
    method, model = method_named(name), copy.deepcopy(original)
    config = dataclasses.replace(config_of(method, WHOLE), precision="bfloat16")
    computed: set[torch.dtype] = set()
    model.get_submodule("timm_model.fc").register_forward_hook(lambda _, inputs, logits: computed.add(logits.dtype))
    run = unlearn(model, IMAGES, FORGET, method, config, progress=False)
    assert run.change.weights > 0
    assert torch.bfloat16 in computed or not run.steps
    for key, tensor in model.state_dict().items():
        assert not tensor.is_floating_point() or tensor.dtype == torch.float32, key
        assert tensor.isfinite().all(), key


def assert_close(a: nn.Module, b: nn.Module) -> None:
    for (key, one), other in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=key)
