"""Each method's loss against the paper's objective, computed independently."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from tests.tiny import CLASSES, tiny_forget, tiny_images, tiny_resnet
from unlearn_audit.errors import ConfigurationError, MethodError
from unlearn_audit.methods import registry
from unlearn_audit.methods._targets import MODES, soft_targets
from unlearn_audit.training import training_examples

N = 16
RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(N, CLASSES))
LABELS = RNG.integers(0, CLASSES, N)
FORGET = np.arange(N) % 3 == 0
BATCH = {
    "labels": torch.tensor(LABELS),
    "is_forget": torch.tensor(FORGET),
    "index": torch.arange(100, 100 + N),
}


def loss_of(method, batch=None) -> np.ndarray:
    return method.per_example_loss(torch.tensor(LOGITS), {**BATCH, **(batch or {})}).numpy()


def cross_entropy(targets: np.ndarray, logits: np.ndarray = LOGITS) -> np.ndarray:
    return -(targets * log_softmax(logits, axis=1)).sum(axis=1)


ONE_HOT = np.eye(CLASSES)[LABELS]


def test_gradient_ascent_climbs_on_forget_and_descends_on_retain_examples() -> None:
    expected = np.where(FORGET, -cross_entropy(ONE_HOT), cross_entropy(ONE_HOT))
    np.testing.assert_allclose(loss_of(registry.load("gradient_ascent")()), expected)


def test_finetune_refuses_forget_examples() -> None:
    retain = {"is_forget": torch.zeros(N, dtype=torch.bool)}
    np.testing.assert_allclose(loss_of(registry.load("finetune")(), retain), cross_entropy(ONE_HOT))
    with pytest.raises(MethodError, match="retain examples only"):
        loss_of(registry.load("finetune")())


@pytest.mark.parametrize("labels", ["any", "wrong"])
@pytest.mark.parametrize("name", ["random_labels", "salun"])
def test_random_labels_are_learned_on_forget_examples_alone(name: str, labels: str) -> None:
    method = registry.load(name)(labels=labels, saliency_share=None)
    drawn = method.random_labels(BATCH["index"], BATCH["labels"], CLASSES).numpy()
    targets = np.where(FORGET[:, None], np.eye(CLASSES)[drawn], ONE_HOT)
    np.testing.assert_allclose(loss_of(method), cross_entropy(targets))


def test_random_labels_are_fresh_each_epoch_uniform_and_wrong_where_asked() -> None:
    index, labels = torch.arange(20_000), torch.arange(20_000) % 10
    method = registry.load("random_labels")(labels="any", seed=3)
    first = method.random_labels(index, labels, 10)
    assert torch.equal(first, method.random_labels(index, labels, 10))
    assert torch.equal(first[[7, 3]], method.random_labels(index[[7, 3]], labels[[7, 3]], 10))
    method.epoch = 1
    assert (first == method.random_labels(index, labels, 10)).float().mean() == pytest.approx(0.1, abs=0.01)
    assert torch.bincount(first, minlength=10).float().div(20_000).sub(0.1).abs().max() < 0.01
    wrong = registry.load("random_labels")(labels="wrong").random_labels(index, labels, 10)
    assert (wrong != labels).all()
    assert torch.bincount((wrong - labels) % 10, minlength=10)[1:].float().div(20_000).sub(1 / 9).abs().max() < 0.01


@pytest.mark.parametrize("mode", MODES)
def test_targets_equal_a_slow_computation(mode: str) -> None:
    logits = RNG.normal(size=(9, 8)) * 3
    expected = []
    for p in softmax(logits / 2.0, axis=1):
        keep = {
            "soft": set(range(8)),
            "hard": {int(p.argmax())},
            "top": set(np.argsort(-p)[:3].tolist()),
            "threshold": {i for i in range(8) if p[i] >= 0.02},
        }[mode]
        q = np.array([p[i] if i in keep else 0.0 for i in range(8)])
        expected.append(q / q.sum())
    found = soft_targets(torch.tensor(logits), mode, temperature=2.0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


class _FixedTeacher(torch.nn.Module):
    """Gives logits from the pixels that it is shown, and remembers them."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def forward(self, pixel_values):
        self.seen = pixel_values
        return SimpleNamespace(logits=self.scale * pixel_values.flatten(1)[:, :CLASSES])


def test_local_teacher_distillation_weighs_and_softens_as_the_paper_does() -> None:
    method = registry.load("local_teacher_distillation")(temperature=2.0, targets_from="soft")
    method._teacher = _FixedTeacher()
    views = torch.tensor(RNG.normal(size=(N, 3, 2, 2)))
    found = loss_of(method, {"pixel_values": views})
    assert torch.equal(method._teacher.seen, views[torch.tensor(FORGET)])  # the student's own augmented views
    teacher = softmax(views.flatten(1)[:, :CLASSES].numpy() / 2.0, axis=1)
    expected = np.where(FORGET, 2 * cross_entropy(teacher, LOGITS / 2.0), cross_entropy(ONE_HOT))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_anchored_local_distillation_follows_its_teachers_and_the_original() -> None:
    method = registry.load("anchored_local_distillation")(temperature=2.0, retain_weight=3.0)
    method._teachers, method._original = [_FixedTeacher(), _FixedTeacher(scale=-0.5)], _FixedTeacher(scale=0.3)
    views = torch.tensor(RNG.normal(size=(N, 3, 2, 2)))
    found = loss_of(method, {"pixel_values": views})
    said = views.flatten(1)[:, :CLASSES].numpy()
    teacher = (softmax(said / 2.0, axis=1) + softmax(-0.5 * said / 2.0, axis=1)) / 2
    kept = softmax(0.3 * said, axis=1)
    expected = np.where(FORGET, 2 * cross_entropy(teacher, LOGITS / 2.0), 3 * cross_entropy(kept))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_anchored_local_distillation_trains_on_near_and_on_random_retain_examples() -> None:
    images = tiny_images(200)
    model, forget = tiny_resnet(images), tiny_forget(images)
    examples = training_examples(model, images, forget)
    options = {"n_support": 20, "teacher_epochs": 1, "retain_share": 0.2, "near_share": 0.6}
    dataset = registry.load("anchored_local_distillation")(**options).prepare(model, examples)
    embeddings = _embeddings(model, images)
    centre = embeddings[examples.forget_rows].mean(axis=0)
    cosine = embeddings @ centre / np.linalg.norm(embeddings, axis=1)
    retain = examples.retain_rows.numpy()
    count = round(0.2 * len(retain))
    near = set(retain[np.argsort(-cosine[retain], kind="stable")[: round(0.6 * count)]].tolist())
    rows = dataset.rows.tolist()
    assert len(rows) == len(set(rows)) == len(forget) + count
    assert set(examples.forget_rows.tolist()) | near <= set(rows)
    assert not set(rows) - set(examples.forget_rows.tolist()) - near <= set(
        np.sort(retain)[: len(retain) // 2].tolist()
    )


def test_anchored_local_distillation_without_its_set_up_says_what_to_do() -> None:
    with pytest.raises(MethodError, match=r"train_dataset=method\.prepare"):
        loss_of(registry.load("anchored_local_distillation")(), {"pixel_values": torch.zeros(N, 3, 2, 2)})


def test_knn_targets_are_label_shares_of_the_nearest_support_to_each_view() -> None:
    images = tiny_images()
    model = tiny_resnet(images)
    examples = training_examples(model, images, tiny_forget(images))
    method = registry.load("local_teacher_knn")(n_support=20, k=5)
    method.prepare(model, examples)
    embeddings = _embeddings(model, images)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    forget, retain = examples.forget_rows.numpy(), examples.retain_rows.numpy()
    centre = embeddings[forget].mean(axis=0)
    support = retain[np.argsort(-(unit[retain] @ (centre / np.linalg.norm(centre))), kind="stable")[:20]]
    batch = examples.without_augmentation().batch(torch.arange(len(images)))
    mirrored = {**batch, "pixel_values": batch["pixel_values"].flip(3)}
    pixels = np.ascontiguousarray(images.pixels[:, :, ::-1])
    views = {0: unit, 1: _embeddings(model, dataclasses.replace(images, pixels=pixels))}
    for seen, shown in zip(views.values(), (batch, mirrored), strict=True):
        found = method.targets(shown, shown["is_forget"]).numpy()
        for place, row in enumerate(forget):
            nearest = support[np.argsort(-(unit[support] @ seen[row]), kind="stable")[:5]]
            expected = np.bincount(images.labels[nearest], minlength=CLASSES) / 5
            np.testing.assert_allclose(found[place], expected, atol=1e-6)


def _embeddings(model, images) -> np.ndarray:
    from unlearn_audit.models import predict

    return predict(model, images).embeddings.astype(np.float64)


@pytest.mark.parametrize("support", ["nearest", "farthest", "random"])
def test_support_is_chosen_by_proximity_among_retain_examples(support: str) -> None:
    from unlearn_audit.methods.support import choose

    rows, proximity = torch.arange(10, 30), torch.tensor(RNG.normal(size=20))
    chosen = choose(rows, proximity, 6, choice=support, seed=1)
    assert len(chosen) == 6 and set(chosen.tolist()) <= set(rows.tolist())
    order = rows[proximity.argsort(descending=True)].tolist()
    expected = {"nearest": order[:6], "farthest": order[-6:]}
    if support in expected:
        assert sorted(chosen.tolist()) == sorted(expected[support])
    else:
        assert torch.equal(chosen, choose(rows, None, 6, choice="random", seed=1))
        assert not torch.equal(chosen, choose(rows, None, 6, choice="random", seed=2))


def test_retain_share_and_choice_pick_the_retain_rows() -> None:
    images = tiny_images()
    model = tiny_resnet(images)
    examples = training_examples(model, images, tiny_forget(images))
    method = registry.load("local_teacher_knn")(retain_share=0.25, retain_choice="nearest", n_support=10)
    rows = method.prepare(model, examples).rows
    assert len(rows) == 8 + 14
    kept = rows[8:]
    cut = method._proximity.sort(descending=True).values[13]
    proximity = dict(zip(examples.retain_rows.tolist(), method._proximity.tolist(), strict=True))
    assert all(proximity[int(row)] >= cut for row in kept)
    whole = registry.load("random_labels")(retain_share=0.0).prepare(model, examples).rows
    assert torch.equal(whole, examples.forget_rows)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("random_labels", {"labels": "some"}),
        ("gradient_ascent", {"retain_share": 1.5}),
        ("gradient_ascent", {"order": "backwards"}),
        ("salun", {"saliency_share": 0.0}),
        ("local_teacher_distillation", {"targets_from": "argmax"}),
        ("local_teacher_distillation", {"n_support": 0}),
        ("local_teacher_distillation", {"temperature": 0.0}),
        ("local_teacher_knn", {"k": 0}),
        ("local_teacher_knn", {"support": "closest"}),
    ],
)
def test_wrong_hyperparameters_are_named(name: str, wrong: dict) -> None:
    (key,) = wrong
    with pytest.raises(ConfigurationError, match=f"expected {key} to be"):
        registry.load(name)(**wrong)
