"""Methods whose steps differ: the plan of a run, SCRUB's and NegGrad+'s objectives against closed forms."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.methods.test_in_a_trainer import IMAGES, assert_same, method_named, run, weights
from tests.tiny import tiny_forget, tiny_resnet, tiny_vit
from unlearn_audit.errors import ConfigurationError
from unlearn_audit.methods._steps import PlannedExamples, Step, cycled, shuffled
from unlearn_audit.training import TrainingConfig, training_examples, unlearn


def planned(method, *, epochs: int, micro_batch: int = 16, micro_batches: int = 1) -> PlannedExamples:
    model = tiny_resnet(IMAGES)
    examples = method.prepare(model, training_examples(model, IMAGES, tiny_forget(IMAGES)))
    examples.plan(method.steps, epochs=epochs, micro_batch=micro_batch, micro_batches=micro_batches)
    return examples


def batches(examples: PlannedExamples, micro_batch: int = 16):
    positions = torch.arange(len(examples)).split(micro_batch)
    return [examples.__getitems__(part.tolist()).tensors for part in positions]


def test_scrub_goes_away_on_forget_and_back_on_retain_examples_in_its_first_epochs_alone() -> None:
    examples = planned(method_named("scrub", max_epochs=1, max_share=0.5), epochs=2)
    seen = [(int(b["phase"][0]), bool(b["is_forget"].all()), bool(b["is_forget"].any())) for b in batches(examples)]
    assert seen[0] == (1, True, True)  # 8 forget examples in steps of 8
    assert seen[1:] == [(0, False, False)] * 4  # 56 retain examples in steps of 16
    examples.set_epoch(1)
    assert [int(b["phase"][0]) for b in batches(examples)] == [0] * 5  # 4 of its own, and one to fill the epoch


def test_every_retain_example_is_gone_through_once_an_epoch() -> None:
    examples = planned(method_named("scrub", max_epochs=0), epochs=1)
    rows = torch.cat([b["index"] for b in batches(examples)])
    assert sorted(rows.tolist()) == sorted(examples.retain_rows.tolist())
    assert examples.seen(2, 16, 1.0) == 32


def test_micro_batches_hold_equal_shares_of_each_part_and_together_the_whole_step() -> None:
    step = Step((torch.arange(8), torch.arange(100, 104)))
    shares = [step.share(part, 4) for part in range(4)]
    assert [((rows < 100).sum().item(), (rows >= 100).sum().item()) for rows in shares] == [(2, 1)] * 4
    assert sorted(torch.cat(shares).tolist()) == [*range(8), *range(100, 104)]


def test_rows_are_shuffled_anew_in_each_epoch_and_cycled_without_end() -> None:
    rows = torch.arange(10)
    first, second = (torch.cat(list(shuffled(rows, 4, seed=0, epoch=epoch))) for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == rows.tolist()
    assert not torch.equal(first, second)
    endless = cycled(rows, 5, seed=0, epoch=0)
    laps = [torch.cat([next(endless), next(endless)]) for _ in range(3)]
    assert all(sorted(lap.tolist()) == rows.tolist() for lap in laps)


@pytest.mark.parametrize("name", ["scrub", "neggrad_plus"])
def test_accumulation_is_the_same_as_one_batch(name: str, tmp_path) -> None:
    whole = run(tmp_path / "whole", tiny_vit(IMAGES), method_named(name))
    parts = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
    assert_same(whole, run(tmp_path / "parts", tiny_vit(IMAGES), method_named(name), **parts))


@pytest.mark.parametrize("name", ["scrub", "neggrad_plus"])
def test_a_resumed_run_is_the_same_as_one_in_one_go(name: str, tmp_path) -> None:
    original = tiny_resnet(IMAGES)
    whole = run(tmp_path / "whole", copy.deepcopy(original), method_named(name))
    model = run(
        tmp_path / "cut", copy.deepcopy(original), method_named(name), save_strategy="epoch", save_total_limit=2
    )
    resumed = run(
        tmp_path / "cut",
        copy.deepcopy(original),
        method_named(name),
        resume=str(sorted((tmp_path / "cut").glob("checkpoint-*"))[0]),
    )
    assert_same(whole, model)
    assert_same(whole, resumed)


def test_neggrad_plus_has_the_gradient_of_its_objective() -> None:
    method = method_named("neggrad_plus", alpha=0.9)
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(8, 2, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    forget = torch.tensor([False] * 6 + [True] * 2)
    weight = torch.randn(2, 3, generator=generator, requires_grad=True)
    loss = method.per_example_loss(x @ weight, {"labels": labels, "is_forget": forget}).mean()
    (found,) = torch.autograd.grad(loss, weight)
    residual = (x @ weight).softmax(dim=1).detach() - F.one_hot(labels, 3)
    expected = 0.9 * x[:6].T @ residual[:6] / 6 - 0.1 * x[6:].T @ residual[6:] / 2
    torch.testing.assert_close(found, expected)


def test_scrub_sums_the_divergence_over_classes_and_scales_it_by_the_squared_temperature() -> None:
    method, model = method_named("scrub", temperature=2.0, alpha=0.5, gamma=0.25), tiny_resnet(IMAGES)
    examples = method.prepare(model, training_examples(model, IMAGES, tiny_forget(IMAGES)))
    batch = {**examples.batch(torch.arange(4)), "phase": torch.tensor([1, 1, 0, 0])}
    with torch.no_grad():
        original = model.eval()(pixel_values=batch["pixel_values"]).logits
    logits = original + torch.tensor([1.0, 0.0, -1.0, 0.5])
    p, q = (original / 2).softmax(dim=1), (logits / 2).softmax(dim=1)
    divergence = 4 * (p * (p / q).log()).sum(dim=1)
    cross_entropy = -logits.log_softmax(dim=1).gather(1, batch["labels"][:, None]).squeeze(1)
    expected = torch.where(batch["phase"] == 1, -divergence, 0.25 * cross_entropy + 0.5 * divergence)
    torch.testing.assert_close(method.per_example_loss(logits, batch), expected, rtol=1e-4, atol=1e-5)


def test_scrub_leaves_its_teacher_alone_and_moves_away_from_it_on_forget_examples() -> None:
    model = tiny_resnet(IMAGES)
    config = TrainingConfig(epochs=4, learning_rate=0.05, batch_size=16, augment=False, precision="float32")
    method = method_named("scrub", gamma=0.0, alpha=0.0, max_epochs=4, freeze_batchnorm=False)
    before, forget = weights(model), tiny_forget(IMAGES)
    unlearn(model, IMAGES, forget, method, config, progress=False)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(method._original).items())
    batch = training_examples(model, IMAGES, forget, augment=False).batch(
        torch.as_tensor(forget.mask(IMAGES)).nonzero()[:, 0]
    )
    with torch.no_grad():
        logits = model(pixel_values=batch["pixel_values"]).logits
    assert method.divergence(logits, batch["pixel_values"]).mean() > 0.01  # exactly 0 for the original


def test_half_an_epoch_is_refused_before_training(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="whole epochs"):
        run(tmp_path, tiny_resnet(IMAGES), method_named("scrub"), num_train_epochs=0.5)
