"""A plan says what was made: on originals of which it is known how much they memorised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unlearn_audit import Policy, plan
from unlearn_audit.auditing.plan import MATCHED, make_plan
from unlearn_audit.errors import AuditError, PredictionsError
from unlearn_audit.populations import FORGET, RETAIN, TEST
from unlearn_audit.predictions import Predictions

CLASSES, PER_CLASS, TRAIN = 4, 100, 300


def predictions(memorised: float, *, seed: int = 0, forget: int = 40) -> Predictions:
    """An original whose logit of the label is higher by `memorised` on the first `forget` training examples."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed + 1)
    n = CLASSES * PER_CLASS
    labels = np.arange(n) % CLASSES
    embeddings = np.eye(CLASSES)[labels] + 0.3 * shared.normal(size=(n, CLASSES))
    logits = np.eye(CLASSES)[labels] + 0.2 * own.normal(size=(n, CLASSES))
    logits[np.arange(forget), labels[:forget]] += memorised
    splits = np.where(np.arange(n) < TRAIN, "train", "test")
    ids = np.array([f"image-{row}" for row in range(n)])
    return Predictions(ids, splits, labels, logits.astype(np.float32), embeddings.astype(np.float32))


def ids(count: int = 40) -> list[str]:
    return [f"image-{row}" for row in range(count)]


def in_core(confidence, *, forget: int = 20, level: float = 0.05, **more):
    """Make a plan of 20 deleted examples of class 0, 40 retained of class 1 and 60 test examples of both."""
    population = np.repeat([FORGET, RETAIN, TEST], [forget, 40, 60])
    labels = np.concatenate([np.zeros(forget), np.ones(40), np.arange(60) % 2]).astype(int)
    n = len(labels)
    return make_plan(
        np.broadcast_to(confidence, n).astype(float),
        np.ones(n, bool),
        labels=labels,
        population=population,
        proximity=np.linspace(1, 0, n),
        class_names=["a", "b"],
        policy=Policy(level=level),
        **more,
    )


def test_what_was_memorised_is_found_and_would_fail() -> None:
    found = plan(predictions(4.0), ids())
    assert found.prospect == "would fail" and found.lower > 0.05
    assert found.forget_size == 40 and found.recognised == 40
    assert found.memorised == pytest.approx(found.confidence - found.held_out_confidence)
    assert found.lower < found.memorised < found.upper


def test_where_nothing_is_memorised_it_might_pass_and_never_passes() -> None:
    found = plan(predictions(0.0, forget=28), ids(28))
    assert found.prospect == "might pass" and abs(found.memorised) < 0.05
    assert "might pass" in repr(found) and "passes nothing" in repr(found)


def test_where_classes_lose_many_examples_it_cannot_be_told() -> None:
    found = plan(predictions(0.0), ids())  # 10 of 75 of each class
    assert found.prospect == "cannot be told" and abs(found.memorised) < 0.05


def test_one_example_without_retrained_models_cannot_be_told() -> None:
    found = plan(predictions(4.0, forget=1), ids(1))
    assert found.prospect == "cannot be told" and (found.lower, found.upper) == (-1, 1)
    assert "the deleted example " in repr(found)


def test_one_example_can_be_told_from_retrained_models() -> None:
    references = [predictions(0.0, seed=seed) for seed in range(1, 5)]
    assert plan(predictions(8.0, forget=1), ids(1), references=references).prospect == "would fail"


def test_an_original_that_knows_the_forget_set_less_than_others_does_not_pass() -> None:
    assert plan(predictions(-2.0), ids()).prospect == "cannot be told"


def test_the_order_of_rows_and_the_form_of_the_input_do_not_matter(tmp_path) -> None:
    first, references = predictions(2.0), [predictions(0.0, seed=seed) for seed in (1, 2, 3)]
    first.save(tmp_path / "original.parquet")
    order = np.random.default_rng(0).permutation(len(first))
    shuffled = [
        Predictions(p.example_ids[order], p.splits[order], p.labels[order], p.logits[order]) for p in references
    ]
    expected = plan(first, ids(), references=references)
    assert repr(plan(str(tmp_path / "original.parquet"), ids(), references=shuffled)) == repr(expected)
    arrays = plan(
        first.logits,
        np.arange(len(first)) < 40,
        references=[p.logits for p in references],
        labels=first.labels,
        example_ids=first.example_ids,
        splits=first.splits,
        embeddings=first.embeddings,
    )
    assert arrays == expected


def test_retrained_models_take_the_place_of_test_examples() -> None:
    references = [predictions(0.0, seed=seed) for seed in (1, 2, 3)]
    found = plan(predictions(2.0), ids(), references=references)
    confidences = [np.exp(p.logits) / np.exp(p.logits).sum(axis=1, keepdims=True) for p in references]
    levels = [float(c[np.arange(40), p.labels[:40]].mean()) for c, p in zip(confidences, references, strict=True)]
    assert found.held_out_confidence == pytest.approx(np.mean(levels), abs=1e-6)
    interval = stats.t.interval(0.95, 2, found.memorised, stats.sem(levels))
    assert (found.lower, found.upper) == pytest.approx(interval, abs=1e-6)
    assert all(seen.least == seen.most for seen in found.detectable)


def test_deleted_examples_are_compared_with_test_examples_of_their_class_that_are_as_near() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.random(120)
    found = in_core(confidence)
    proximity, expected = np.linspace(1, 0, 120), []
    for row in range(20):
        candidates = [other for other in range(60, 120) if (other - 60) % 2 == 0]
        candidates.sort(key=lambda other: abs(proximity[other] - proximity[row]))
        expected.append(np.mean([confidence[other] for other in candidates[:MATCHED]]))
    assert found.held_out_confidence == pytest.approx(np.mean(expected))
    assert found.memorised == pytest.approx(np.mean(confidence[:20]) - np.mean(expected))


def test_more_references_see_less_and_cost_more() -> None:
    found = plan(predictions(2.0), ids(), seconds=60.0)
    for fewer, more in zip(found.detectable, found.detectable[1:], strict=False):
        assert more.least < fewer.least and more.most < fewer.most
    assert [seen.seconds for seen in found.detectable] == [180, 240, 300, 480]
    assert "180" not in repr(found) and "with 3 (3 min)" in repr(found)


def test_a_difference_as_large_as_is_called_detectable_fails_in_four_of_five_audits() -> None:
    """Draws candidates and references of normal levels, and judges each by the formulas of the documentation."""
    spread, k, rng = 0.0174, 4, np.random.default_rng(0)  # as the prior of 20 examples says
    levels = np.array([0.5 - spread, 0.5 - spread, 0.5 + spread, 0.5 + spread])
    spread = levels.std(ddof=1)
    found = in_core(0.5, level=0.0, reference_confidence=np.repeat(levels[:, None], 120, axis=1))
    shift = next(seen.least for seen in found.detectable if seen.num_references == k)
    references = rng.normal(0, spread, (20_000, k))
    candidates = rng.normal(shift, spread, 20_000)
    variance = (0.09**2 / 20 + (k - 1) * references.var(axis=1, ddof=1)) / k
    seen = (candidates - references.mean(axis=1)) / np.sqrt(variance * (1 + 1 / k)) > stats.t(k).isf(0.05 / 6 / 2)
    assert seen.mean() == pytest.approx(0.8, abs=0.03)


def test_few_examples_spread_more_than_many() -> None:
    one, many = in_core(0.5, forget=1), in_core(0.5, forget=1000)
    assert all(few.most > other.most for few, other in zip(one.detectable, many.detectable, strict=True))
    assert one.detectable[0].most == 1 and "or more with 3" in repr(one)


def test_the_neighbours_are_the_classes_of_the_nearest_tenth() -> None:
    (only,) = in_core(0.5).neighbours
    assert (only.class_name, only.near, only.total) == ("b", 4, 40)
    near = plan(predictions(0.0), ids(), class_names=["a", "b", "c", "d"]).neighbours
    assert sum(found.near for found in near) == round(0.1 * (TRAIN - 40))
    assert sum(found.total for found in near) <= TRAIN - 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forget": ["nobody"]}, "of the forget set"),
        ({"forget": ["image-399"]}, "holds the test example"),
        ({"seconds": 0}, "above 0"),
        ({"class_names": ["a"]}, "4 class names, got 1"),
        ({"original": "train only"}, "Expected test examples of the original"),
        ({"original": "no embeddings"}, "Expected embeddings"),
    ],
)
def test_what_does_not_allow_a_plan_is_said(change, message) -> None:
    given = {"original": predictions(1.0), "forget": ids(), **change}
    made = predictions(1.0)
    rows = slice(0, TRAIN if change.get("original") == "train only" else None)
    if isinstance(given["original"], str):
        parts = [made.example_ids[rows], made.splits[rows], made.labels[rows], made.logits[rows]]
        given["original"] = Predictions(*parts, made.embeddings[rows] if "train" in change["original"] else None)
    with pytest.raises(AuditError, match=message):
        plan(given.pop("original"), given.pop("forget"), **given)


def test_a_retrained_model_on_other_examples_is_refused() -> None:
    other = predictions(0.0)
    renamed = Predictions(np.char.add("x", other.example_ids), other.splits, other.labels, other.logits)
    with pytest.raises(PredictionsError):
        plan(predictions(1.0), ids(), references=[renamed])
