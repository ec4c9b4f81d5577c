"""Methods in a stock Trainer that the user built: accumulation, resuming, masks, freezing, mistakes."""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments, ViTConfig, ViTForImageClassification

from tests.methods.small import SMALL
from tests.tiny import CLASSES, tiny_forget, tiny_images, tiny_resnet, tiny_vit
from unlearn_audit.data.batches import collate
from unlearn_audit.errors import MethodError, ModelError
from unlearn_audit.methods import registry
from unlearn_audit.methods.base import _in_a_pass
from unlearn_audit.training import TrainingConfig, training_examples, unlearn

pytestmark = pytest.mark.slow

IMAGES = tiny_images()
EDITS = ("ssd", "influence", "fisher_forgetting")  # methods that change weights without training


def arguments(folder, **changes) -> TrainingArguments:
    settings = {
        "output_dir": str(folder),
        "num_train_epochs": 2,
        "learning_rate": 0.05,
        "per_device_train_batch_size": 16,
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 0,
    }
    return TrainingArguments(**{**settings, **changes})


def method_named(name: str, **options):
    return registry.load(name)(**{**SMALL.get(name, {}), **options})


def run(folder, model, method, *, collator=collate, callbacks=(), resume=False, **changes):
    """Unlearn with a Trainer as a user writes it; returns the model."""
    examples = training_examples(model, IMAGES, tiny_forget(IMAGES))
    trainer = Trainer(
        model=model,
        args=arguments(folder, **changes),
        train_dataset=method.prepare(model, examples),
        data_collator=collator,
        callbacks=[method, *callbacks],
    )
    trainer.train(resume_from_checkpoint=resume)
    return model


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def assert_same(a, b, **tolerance) -> None:
    a, b = weights(a), weights(b)
    for name in a:
        torch.testing.assert_close(a[name], b[name], **(tolerance or {"rtol": 1e-4, "atol": 1e-6}), msg=name)


@pytest.mark.parametrize("name", registry.names())
def test_every_method_moves_the_model_and_says_where_it_comes_from(name: str, tmp_path) -> None:
    method, model = method_named(name), tiny_resnet(IMAGES)
    before = weights(model)
    run(tmp_path, model, method, num_train_epochs=1)
    assert any(not torch.equal(before[key], tensor) for key, tensor in weights(model).items())
    assert "Reference:" in type(method).__doc__ and "scope" in vars(type(method))
    state = json.loads(json.dumps(method.state()))
    assert type(method)(**state["args"]).state() == method.state()
    assert (TrainingConfig(**method.training_defaults).epochs > 0) is (name not in EDITS)


@pytest.mark.parametrize("name", ["random_labels", "local_teacher_distillation"])
def test_the_default_collator_gives_the_same_result(name: str, tmp_path) -> None:
    fast = run(tmp_path, tiny_resnet(IMAGES), method_named(name, retain_share=1.0))
    plain = run(tmp_path, tiny_resnet(IMAGES), method_named(name, retain_share=1.0), collator=None)
    assert_same(fast, plain)


def test_a_short_last_micro_batch_counts_by_its_examples(tmp_path) -> None:
    def made(batch: int, parts: int):
        method = method_named("random_labels", retain_share=1.0)
        split = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": parts}
        return run(tmp_path / str(batch), tiny_vit(IMAGES), method, **split)

    assert_same(made(10, 4), made(40, 1))  # of 64 examples: 10, 10, 10, 10 and 10, 10, 4


@pytest.mark.parametrize(("examples", "batch", "parts"), [(64, 10, 4), (64, 16, 2), (61, 7, 3), (5, 8, 4), (80, 20, 4)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_passes_are_counted_as_a_loader_makes_them(examples: int, batch: int, parts: int, drop_last: bool) -> None:
    sizes = [len(each) for each in DataLoader(range(examples), batch_size=batch, drop_last=drop_last)]
    steps = [sizes[start : start + parts] for start in range(0, len(sizes), parts)]
    args = SimpleNamespace(train_batch_size=batch, gradient_accumulation_steps=parts, dataloader_drop_last=drop_last)
    for epoch in range(2):
        for place, passes in enumerate(steps):
            found = _in_a_pass(args, epoch * len(steps) + place, examples)
            assert found == pytest.approx(sum(passes) / len(passes))


@pytest.mark.parametrize("name", ["gradient_ascent", "random_labels", "local_teacher_distillation"])
def test_accumulation_at_equal_effective_batch_changes_nothing(name: str, tmp_path) -> None:
    whole = run(tmp_path, tiny_vit(IMAGES), method_named(name, retain_share=1.0))
    parts = run(
        tmp_path,
        tiny_vit(IMAGES),
        method_named(name, retain_share=1.0),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=4,
    )
    assert_same(whole, parts)


class Interrupt(TrainerCallback):
    """Saves after some steps and breaks off, as a killed run does."""

    def __init__(self, after: int):
        self.after = after

    def on_step_end(self, args, state, control, **kwargs):
        control.should_save = state.global_step == self.after
        return control

    def on_save(self, args, state, control, **kwargs):
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["random_labels", "local_teacher_distillation", "salun"])
def test_a_run_broken_off_inside_an_epoch_and_resumed_equals_an_unbroken_one(name: str, tmp_path) -> None:
    options = {"retain_share": 1.0}
    unbroken = run(
        tmp_path / "a", tiny_resnet(IMAGES), method_named(name, **options), save_strategy="steps", save_steps=100
    )
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", tiny_resnet(IMAGES), method_named(name, **options), callbacks=[Interrupt(after=6)])
    resumed = run(tmp_path / "b", tiny_resnet(IMAGES), method_named(name, **options), resume=True)
    assert_same(unbroken, resumed, rtol=0, atol=0)


def test_masked_weights_stay_bit_for_bit_under_momentum_and_weight_decay(tmp_path) -> None:
    model = tiny_resnet(IMAGES)
    method = method_named("random_labels", saliency_share=0.3, retain_share=1.0)
    before = weights(model)
    run(tmp_path, model, method, optim="adamw_torch", weight_decay=0.1, learning_rate=0.01, max_grad_norm=1.0)
    mask = method._mask.mask
    moved = total = 0
    for name, parameter in model.named_parameters():
        same = parameter.detach() == before[name]
        assert same[~mask[name]].all(), name
        moved, total = moved + int((~same).sum()), total + same.numel()
    assert moved / total == pytest.approx(0.3, abs=0.02)


def test_the_mask_keeps_the_largest_forget_gradients() -> None:
    from unlearn_audit.methods.saliency import saliency_mask

    model = tiny_vit(IMAGES).eval()
    examples = training_examples(model, IMAGES, tiny_forget(IMAGES), augment=False)
    mask = saliency_mask(model, examples, 0.2)
    batch = examples.batch(examples.forget_rows)
    loss = torch.nn.functional.cross_entropy(model(pixel_values=batch["pixel_values"]).logits, batch["labels"])
    loss.backward()
    gradients = {name: p.grad.abs() for name, p in model.named_parameters()}
    inside = torch.cat([g[mask[name]] for name, g in gradients.items()])
    outside = torch.cat([g[~mask[name]] for name, g in gradients.items()])
    assert inside.min() >= outside.max() * (1 - 1e-4)
    assert len(inside) / (len(inside) + len(outside)) == pytest.approx(0.2, abs=0.01)


def test_frozen_batchnorm_keeps_its_statistics(tmp_path) -> None:
    for freeze in (True, False):
        model = tiny_resnet(IMAGES)
        before = weights(model)
        run(tmp_path, model, method_named("finetune", freeze_batchnorm=freeze))
        same = all(torch.equal(before[name], tensor) for name, tensor in weights(model).items() if "running_" in name)
        assert same is freeze


def test_forget_first_goes_through_the_forget_set_before_the_retain_set(tmp_path) -> None:
    method = method_named("gradient_ascent", retain_share=1.0, order="forget_first")
    seen = []
    loss = method.per_example_loss
    method.per_example_loss = lambda logits, batch: seen.append(batch) or loss(logits, batch)
    run(tmp_path, tiny_resnet(IMAGES), method, per_device_train_batch_size=8)
    order = torch.cat([batch["is_forget"] for batch in seen]).view(2, len(IMAGES))
    assert order[:, :8].all() and not order[:, 8:].any()
    rows = torch.cat([batch["index"] for batch in seen]).view(2, len(IMAGES))
    assert (rows.sort(dim=1).values == torch.arange(len(IMAGES))).all()
    assert not torch.equal(rows[0], rows[1])


def test_a_method_that_moves_nothing_raises(tmp_path) -> None:
    with pytest.raises(MethodError, match="moved no parameter"):
        run(tmp_path, tiny_resnet(IMAGES), method_named("gradient_ascent"), learning_rate=0.0)


def test_weights_that_are_not_finite_end_the_run(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"finite weights.*after 2 steps\. Lower the learning rate \(1e\+30\)"):
        run(tmp_path, tiny_resnet(IMAGES), method_named("gradient_ascent"), learning_rate=1e30, max_grad_norm=0.0)


@pytest.mark.parametrize(
    ("name", "norm", "warns"),
    [("gradient_ascent", 1.0, True), ("gradient_ascent", 0.0, False), ("finetune", 1.0, False)],
)
def test_clipping_an_ascent_is_warned_of(name: str, norm: float, warns: bool, tmp_path) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run(tmp_path, tiny_resnet(IMAGES), method_named(name), max_grad_norm=norm, num_train_epochs=1)
    assert any("max_grad_norm=1 clips" in str(warning.message) for warning in found) is warns


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"lr_scheduler_type": "linear", "warmup_steps": 500},
            r"leaves 0\.00\d+ of learning_rate=0\.05.*warmup_steps=500",
        ),
        ({"learning_rate": 5e-5}, "moved by .e-05 of their norm.*optim='sgd': rates for AdamW are far too small"),
    ],
)
def test_settings_that_leave_a_method_idle_are_warned_of(changes, message, tmp_path) -> None:
    with pytest.warns(UserWarning, match=message):
        run(tmp_path, tiny_resnet(IMAGES), method_named("random_labels"), **changes)


def test_an_optimizer_of_another_model_is_warned_of(tmp_path) -> None:
    model, method = tiny_resnet(IMAGES), method_named("random_labels")
    optimizer = torch.optim.SGD(tiny_resnet(IMAGES).parameters(), lr=0.1)
    examples = method.prepare(model, training_examples(model, IMAGES, tiny_forget(IMAGES)))
    trainer = Trainer(
        model, arguments(tmp_path), train_dataset=examples, callbacks=[method], optimizers=(optimizer, None)
    )
    with pytest.warns(UserWarning, match="holds none of the weights that train"), pytest.raises(MethodError):
        trainer.train()


def test_scaled_gradients_are_not_changed_but_refused(tmp_path) -> None:
    for name, refused in (("l1_sparse", True), ("finetune", False)):
        method, model = method_named(name), tiny_resnet(IMAGES)
        with pytest.raises(MethodError, match="bf16=True") if refused else contextlib.nullcontext():
            method._check_arguments(
                SimpleNamespace(remove_unused_columns=False, fp16=True, max_grad_norm=0.0),
                SimpleNamespace(dataset=method.prepare(model, training_examples(model, IMAGES, tiny_forget(IMAGES)))),
            )


def test_two_methods_on_one_model_are_refused(tmp_path) -> None:
    with pytest.raises(MethodError, match="one unlearning method"):
        run(tmp_path, tiny_resnet(IMAGES), method_named("finetune"), callbacks=[method_named("random_labels")])


def test_added_too_late_is_refused(tmp_path) -> None:
    model, method = tiny_resnet(IMAGES), method_named("random_labels")
    examples = training_examples(model, IMAGES, tiny_forget(IMAGES))
    trainer = Trainer(model=model, args=arguments(tmp_path), train_dataset=method.prepare(model, examples))
    trainer.add_callback(method)
    with pytest.raises(MethodError, match="remove_unused_columns=False"):
        trainer.train()


def test_unprepared_methods_say_so(tmp_path) -> None:
    model, method = tiny_resnet(IMAGES), method_named("local_teacher_distillation")
    examples = training_examples(model, IMAGES, tiny_forget(IMAGES))
    trainer = Trainer(model=model, args=arguments(tmp_path), train_dataset=examples, callbacks=[method])
    with pytest.raises(MethodError, match=r"method\.prepare"):
        trainer.train()
    masked = method_named("finetune", saliency_share=0.5)
    with pytest.raises(MethodError, match="salient"):
        Trainer(model=tiny_resnet(IMAGES), args=arguments(tmp_path), train_dataset=examples, callbacks=[masked]).train()


def test_a_user_s_own_data_set_and_hf_model(tmp_path) -> None:
    config = ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=CLASSES,
    )
    torch.manual_seed(0)
    model = ViTForImageClassification(config)
    before = weights(model)
    mask = tiny_forget(IMAGES).mask(IMAGES)
    pixels = torch.tensor(IMAGES.pixels).permute(0, 3, 1, 2).float().div(255)
    data = Dataset.from_dict({"pixel_values": pixels.tolist(), "labels": IMAGES.labels, "is_forget": mask.astype(int)})
    trainer = Trainer(
        model=model,
        args=arguments(tmp_path),
        train_dataset=data.with_format("torch"),
        eval_dataset=data.with_format("torch"),
        callbacks=[method_named("gradient_ascent", retain_share=1.0)],
    )
    trainer.train()
    assert any(not torch.equal(before[key], tensor) for key, tensor in weights(model).items())
    assert trainer.evaluate()["eval_loss"] > 0  # the hooks take is_forget away, the model's own loss stays


@pytest.mark.parametrize("columns", [("is_forget",), ("is_forget", "index"), ()])
@pytest.mark.parametrize("name", ["random_labels", "finetune"])
def test_a_user_s_own_data_set_needs_the_columns_that_the_method_uses(name: str, columns: tuple, tmp_path) -> None:
    mask = tiny_forget(IMAGES).mask(IMAGES)
    rows = ~mask if name == "finetune" else mask | True
    pixels = torch.tensor(IMAGES.pixels).permute(0, 3, 1, 2).float().div(255)
    offered = {"is_forget": mask.astype(int), "index": torch.arange(len(IMAGES)).numpy()}
    table = {"pixel_values": pixels.numpy()[rows].tolist(), "labels": IMAGES.labels[rows]}
    data = Dataset.from_dict(table | {column: offered[column][rows] for column in columns}).with_format("torch")
    model = tiny_resnet(IMAGES)
    before = weights(model)
    trainer = Trainer(model=model, args=arguments(tmp_path), train_dataset=data, callbacks=[method_named(name)])
    missing = set(offered if name == "random_labels" else {"is_forget"}) - set(columns)
    if missing:
        with pytest.raises(MethodError, match="Expected a column"):
            trainer.train()
        return
    trainer.train()
    assert any(not torch.equal(before[key], tensor) for key, tensor in weights(model).items())


def test_a_copy_of_a_hooked_model_is_inert(tmp_path) -> None:
    class Copier(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            self.copy = copy.deepcopy(model)

    copier = Copier()
    model = run(tmp_path, tiny_resnet(IMAGES), method_named("gradient_ascent"), callbacks=[copier], num_train_epochs=1)
    inputs = {"pixel_values": torch.zeros(2, 3, 8, 8), "labels": torch.tensor([0, 1])}
    torch.testing.assert_close(model.eval()(**inputs).logits, copier.copy.eval()(**inputs).logits)
    loss = copier.copy.train()(**inputs, is_forget=torch.ones(2)).loss
    assert loss > 0  # the model's own cross-entropy, not the ascent


def test_unlearn_counts_its_cost_and_seeds_by_the_method() -> None:
    config = TrainingConfig(epochs=2, learning_rate=0.05, batch_size=16, checkpoints=0)
    runs = [
        unlearn(
            tiny_resnet(IMAGES),
            IMAGES,
            tiny_forget(IMAGES),
            method_named("random_labels", retain_share=1.0, seed=s),
            config,
            progress=False,
        )
        for s in (0, 0, 1)
    ]
    assert runs[0].examples == 2 * len(IMAGES) and runs[0].steps == 8 and runs[0].seconds > 0
    assert_same(runs[0].model, runs[1].model, rtol=0, atol=0)
    with pytest.raises(AssertionError):
        assert_same(runs[0].model, runs[2].model)
