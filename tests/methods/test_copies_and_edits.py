"""Methods that learn from copies of the model, edit weights or change gradients, against closed forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from tests.tiny import tiny_forget, tiny_images
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.methods._copies import fresh, frozen
from unlearn_audit.methods._importance import gradients, mean_over_groups, mean_squared_norm
from unlearn_audit.models import weights_hash
from unlearn_audit.training import TrainingConfig, training_examples, unlearn

IMAGES = tiny_images()
FORGET = tiny_forget(IMAGES)
CPU = {"precision": "float32", "checkpoints": 0}


class Linear(nn.Module):
    """f(x) = W x on all pixels, without bias: what gradients of importance are known of in closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 4, bias=False)
        torch.manual_seed(0)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, pixel_values, labels=None):
        from transformers.modeling_outputs import ImageClassifierOutput

        return ImageClassifierOutput(logits=self.head(pixel_values.flatten(1)))


def examples_of(model):
    return training_examples(model, IMAGES, FORGET)


def test_a_frozen_copy_predicts_the_same_and_a_fresh_one_knows_nothing(original) -> None:
    examples = examples_of(original)
    before = weights_hash(original)
    state = torch.get_rng_state()
    teacher, untrained = frozen(original, examples), fresh(original, examples, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights_hash(teacher) == before == weights_hash(original)
    assert weights_hash(untrained) == weights_hash(fresh(original, examples, seed=3)) != before
    assert weights_hash(untrained) != weights_hash(fresh(original, examples, seed=4))
    for model in (teacher, untrained):
        assert not model.training and not any(p.requires_grad for p in model.parameters())
    with pytest.raises(MethodError, match="a model of transformers"):
        fresh(Linear(), examples, seed=0)


def batch_of(examples, rows):
    return examples.without_augmentation().batch(rows)


def student_logits(n: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(0).normal(size=(n, 4)), requires_grad=True)


def test_delete_learns_the_original_without_the_label(original) -> None:
    examples = examples_of(original)
    method = registry.load("delete")(retain_share=1.0)
    method.prepare(original, examples)
    rows = torch.cat([examples.forget_rows[:5], examples.retain_rows[:3]])
    batch = batch_of(examples, rows)
    logits = student_logits(8)
    with torch.no_grad():
        said = original(pixel_values=batch["pixel_values"]).logits.double().numpy()
    labels = batch["labels"].numpy()
    expected = []
    for row in range(8):
        mine = log_softmax(logits[row].detach().numpy())
        if row >= 5:
            expected.append(-mine[labels[row]])
            continue
        others = [k for k in range(4) if k != labels[row]]
        q = softmax(said[row][others])
        expected.append(sum(q[i] * (np.log(q[i]) - mine[k]) for i, k in enumerate(others)))
    loss = method.per_example_loss(logits, batch)
    np.testing.assert_allclose(loss.detach().numpy(), expected, rtol=1e-4)


def test_delete_pushes_the_label_away_from_the_original_s_own_prediction(original) -> None:
    examples = examples_of(original)
    method = registry.load("delete")()
    method.prepare(original, examples)
    batch = batch_of(examples, examples.forget_rows)
    with torch.no_grad():
        logits = original(pixel_values=batch["pixel_values"]).logits.double()
    logits.requires_grad_()
    method.per_example_loss(logits, batch).sum().backward()
    p, label = logits.detach().softmax(dim=1), batch["labels"][:, None]
    own = p.gather(1, label)
    expected = torch.where(torch.arange(4) == label, own, -p * own / (1 - own))
    torch.testing.assert_close(logits.grad, expected, rtol=1e-3, atol=1e-5)


def test_bad_teacher_s_gradient_is_the_difference_to_the_teacher_of_each_example(original) -> None:
    examples = examples_of(original)
    method = registry.load("bad_teacher")(seed=5)
    before = weights_hash(original)
    method.prepare(original, examples)
    batch = batch_of(examples, torch.cat([examples.forget_rows[:4], examples.retain_rows[:4]]))
    with torch.no_grad():
        knows = original(pixel_values=batch["pixel_values"]).logits.double().softmax(dim=1)
        nothing = fresh(original, examples, seed=5)(pixel_values=batch["pixel_values"]).logits.double().softmax(dim=1)
    logits = student_logits(8)
    loss = method.per_example_loss(logits, batch)
    loss.sum().backward()
    teacher = torch.cat([nothing[:4], knows[4:]])
    torch.testing.assert_close(logits.grad, logits.detach().softmax(dim=1) - teacher, rtol=1e-4, atol=1e-6)
    divergence = (teacher * (teacher.log() - logits.detach().log_softmax(dim=1))).sum(dim=1)
    torch.testing.assert_close(loss.detach(), divergence, rtol=1e-4, atol=1e-6)
    teachers = [weights_hash(model) for model in method._teachers]
    unlearn(
        copy.deepcopy(original), IMAGES, FORGET, method, TrainingConfig(epochs=1, batch_size=16, **CPU), progress=False
    )
    assert [weights_hash(model) for model in method._teachers] == teachers
    assert teachers[0] == before


@pytest.mark.parametrize(("epoch", "plain", "share"), [(0, 0, 1.0), (2, 0, 0.5), (2, 2, 0.0), (1, 2, 0.5), (3, 2, 0.0)])
def test_the_penalty_falls_linearly_to_nothing(epoch: int, plain: int, share: float) -> None:
    method = registry.load("l1_sparse")(penalty=0.01, plain_epochs=plain)
    method.epoch = epoch
    assert method.strength(4) == pytest.approx(0.01 * share)


@pytest.mark.parametrize("accumulation", [1, 4])
def test_the_penalty_moves_each_weight_by_its_sign_once_a_step(original, accumulation: int) -> None:
    """With a loss of nothing, one step of plain SGD moves each weight by the learning rate times γ."""
    method = registry.load("l1_sparse")(penalty=0.01)
    method.per_example_loss = lambda logits, batch: 0.0 * logits.sum(dim=1)
    model = copy.deepcopy(original)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    one_step = TrainingConfig(
        epochs=1,
        learning_rate=0.1,
        batch_size=len(IMAGES),
        accumulation_steps=accumulation,
        momentum=0.0,
        nesterov=False,
        weight_decay=0.0,
        scheduler="constant",
        **CPU,
    )
    run = unlearn(model, IMAGES, FORGET, method, one_step, progress=False)
    assert run.steps == 1
    for name, parameter in model.named_parameters():
        expected = before[name] - 0.1 * 0.01 * before[name].sign()
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=1e-8)


def test_importance_of_a_linear_model_is_known_in_closed_form(original) -> None:
    model, rows = Linear(), torch.arange(10)
    examples = examples_of(original)
    batch = batch_of(examples, rows)
    x = batch["pixel_values"].flatten(1).double()
    w = model.head.weight.detach().double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    p = (x @ w.T).softmax(dim=1) - nn.functional.one_hot(batch["labels"], 4)
    squares = [(p[part].T @ x[part] / len(part)) ** 2 for part in rows.split(4)]
    found = mean_over_groups(gradients(model, examples, rows, nn.functional.cross_entropy, group=4), torch.square)
    expected = sum(squares) / 3
    torch.testing.assert_close(found["head.weight"].double(), expected, rtol=1e-3, atol=1e-3 * float(expected.max()))
    outputs = [(2 * (x[part] @ w.T).T @ x[part] / len(part)).abs() for part in rows.split(4)]
    found = mean_over_groups(gradients(model, examples, rows, mean_squared_norm, group=4), torch.abs)
    expected = sum(outputs) / 3
    torch.testing.assert_close(found["head.weight"].double(), expected, rtol=1e-3, atol=1e-3 * float(expected.max()))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("importance", ["loss", "output"])
def test_dampened_are_the_weights_that_matter_more_to_the_forget_set_and_by_how_much(original, importance: str) -> None:
    method = registry.load("ssd")(importance=importance, selection=2.0, dampening=0.5, group=16)
    model, examples = copy.deepcopy(original), examples_of(original)
    objective, change = {
        "loss": (nn.functional.cross_entropy, torch.square),
        "output": (mean_squared_norm, torch.abs),
    }[importance]
    forget, everything = (
        mean_over_groups(gradients(original, examples, rows, objective, group=16), change)
        for rows in (examples.forget_rows, examples.rows)
    )
    run = unlearn(model, IMAGES, FORGET, method, TrainingConfig(**{"epochs": 0, **CPU}), progress=False)
    assert run.steps == 0
    dampened = 0
    for name, parameter in model.named_parameters():
        old = original.get_parameter(name).detach().flatten().tolist()
        new = parameter.detach().flatten().tolist()
        for theta, now, i_f, i_d in zip(
            old, new, forget[name].flatten().tolist(), everything[name].flatten().tolist(), strict=True
        ):
            selected = i_f > 2 * i_d
            dampened += selected
            assert now == pytest.approx(theta * min(0.5 * i_d / i_f, 1) if selected else theta, rel=1e-5, abs=1e-12)
    assert 0 < dampened < sum(p.numel() for p in model.parameters())
    buffers = dict(original.named_buffers())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())


def test_an_edit_that_changes_nothing_is_an_error(original) -> None:
    method = registry.load("ssd")(selection=1e12)
    with pytest.raises(MethodError, match="0 steps and moved no parameter"):
        unlearn(copy.deepcopy(original), IMAGES, FORGET, method, progress=False)


def test_unprepared_and_wrong_options_are_told(original) -> None:
    for name in ("delete", "bad_teacher"):
        with pytest.raises(MethodError, match=r"method\.prepare"):
            registry.load(name)().per_example_loss(
                torch.zeros(1, 4),
                {
                    "pixel_values": torch.zeros(1, 3, 8, 8),
                    "labels": torch.zeros(1, dtype=torch.long),
                    "is_forget": torch.ones(1, dtype=torch.bool),
                    "index": torch.zeros(1, dtype=torch.long),
                },
            )
    with pytest.raises(MethodError, match=r"method\.prepare"):
        registry.load("ssd")().edit(original)
    for name, options in {"ssd": {"importance": "luck"}, "l1_sparse": {"penalty": 0.0}}.items():
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            registry.load(name)(**options)
