"""Attacks find what they are made to find, and no more than chance where there is nothing to find."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from tests.reporting.samples import make_report
from unlearn_audit.auditing.aggregate import AggregateFigures
from unlearn_audit.publishing.attacks import Target, exposures, registry
from unlearn_audit.publishing.attacks._exposure import Space
from unlearn_audit.saved.forgotten import Forgotten, commitment

N, TEST, CLASSES, FORGOTTEN = 600, 300, 3, 50


@pytest.fixture
def target(tmp_path):
    """Half of a class forgotten by no seed, confidences that tell nothing, and nothing published."""
    generator = np.random.default_rng(1)
    labels = np.arange(N) % CLASSES
    is_forget = np.zeros(N, bool)
    is_forget[generator.permutation(np.flatnonzero(labels == 1))[:FORGOTTEN]] = True
    ids = np.array([f"train-{i}" for i in range(N)])
    return Target(
        folder=tmp_path,
        report=None,
        rows=None,
        commitment=commitment(ids[is_forget].tolist(), "5f" * 32),
        linked=True,
        candidate="gradient_ascent",
        fingerprint="f" * 64,
        ids=ids,
        labels=labels,
        is_forget=is_forget,
        correct={name: generator.random(N) < 0.9 for name in ("gradient_ascent", "original")},
        confidence={name: generator.random(N) for name in ("gradient_ascent", "original")},
        space=None,
    )


def found(target, attack):
    return {e.attack: e for e in registry.load(attack)(target)}


def test_chance_is_the_share_of_the_class(target):
    """Whoever names 50 of 200 by lot is right in a quarter."""
    assert target.chance == pytest.approx(FORGOTTEN / (N / CLASSES))
    drawn = [target.found(target.named(np.random.default_rng(seed).random(N))) for seed in range(400)]
    assert np.mean(drawn) == pytest.approx(target.chance, abs=0.01)
    exact = np.mean(np.array(drawn) >= 0.36)
    assert target.p_value(0.36) == pytest.approx(exact, abs=0.02)


def test_where_nothing_is_published_and_models_tell_nothing_no_attack_succeeds(target):
    everything = list(exposures(target))
    assert {e.attack for e in everything} == {"differencing", "gaps", "guesses", "names", "weights"}
    assert [e for e in everything if e.leaks] == []


def test_confidence_that_fell_tells(target):
    fell = {**target.confidence, "gradient_ascent": target.confidence["original"] - 0.3 * target.is_forget}
    (exposure,) = registry.load("differencing")(dataclasses.replace(target, confidence=fell))
    assert exposure.leaks and exposure.found == 1
    assert list(registry.load("differencing")(dataclasses.replace(target, confidence=fell, linked=False))) == []


def test_a_link_that_tells_no_more_than_the_weights_does_not_leak(target):
    sure = np.where(target.is_forget, 0.1, 0.9)
    known = {"original": np.full(N, 0.9), "gradient_ascent": sure}
    changed = dataclasses.replace(target, confidence=known)
    assert found(changed, "weights")["weights"].leaks
    assert not found(changed, "differencing")["differencing"].leaks


@pytest.mark.parametrize("kind", ["centre", "single"])
def test_strata_by_which_the_forget_set_can_be_found_tell(target, kind):
    """Forgotten examples that lie together are found by the strata they make, by a centre or by the nearest one."""
    generator = np.random.default_rng(2)
    centres = generator.normal(size=(4, 8))
    group = np.where(target.is_forget, 3, target.labels)
    train, test_group = centres[group] + 0.3 * generator.normal(size=(N, 8)), np.arange(TEST) % 4
    test = centres[test_group] + 0.3 * generator.normal(size=(TEST, 8))
    train, test = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test))
    near = test @ train[target.is_forget].T
    near = near.mean(axis=1) if kind == "centre" else near.max(axis=1)
    stratum = np.argsort(np.argsort(-near)) * 5 // TEST
    ids = np.array([f"test-{i}" for i in range(TEST)])
    told = dataclasses.replace(
        target,
        rows=pa.table({"example_id": ids[::-1], "stratum": stratum[::-1]}),
        space=Space(train, test, ids),
    )
    assert found(told, "strata")["strata"].leaks
    shuffled = dataclasses.replace(told, rows=pa.table({"example_id": ids, "stratum": generator.permutation(stratum)}))
    assert found(shuffled, "strata")["strata"].found < target.chance + 0.2


def drawn_by_seed(target, seed):
    is_forget = np.zeros(N, bool)
    is_forget[np.random.default_rng(seed).choice(np.flatnonzero(target.labels == 1), FORGOTTEN, replace=False)] = True
    return dataclasses.replace(target, is_forget=is_forget)


def test_a_draw_by_a_plain_seed_is_confirmed_by_published_figures(target):
    drawn = drawn_by_seed(target, 42)
    rows = drawn.correct["gradient_ascent"][drawn.is_forget]
    figures = AggregateFigures(0.9, float(rows.mean()), 0.9, None, None, None)
    report = make_report(aggregate={"gradient_ascent": figures}, judgements={})
    exposure = found(dataclasses.replace(drawn, report=report), "guesses")["guesses"]
    assert exposure.found > drawn.chance  # many draws share an accuracy, the right one among them
    assert found(drawn, "guesses")["guesses"].found == drawn.chance


@pytest.mark.parametrize("salted", [True, False])
def test_a_hash_without_salt_confirms_a_draw(target, salted):
    drawn = drawn_by_seed(target, 0)
    ids = drawn.ids[drawn.is_forget].tolist()
    told = commitment(ids, "5f" * 32) if salted else Forgotten.of(ids).hash
    exposure = found(dataclasses.replace(drawn, commitment=told), "guesses")["guesses"]
    assert exposure.leaks == (not salted)


def test_the_count_of_a_class_that_was_forgotten_whole_tells(target):
    whole = dataclasses.replace(target, is_forget=target.labels == 1, report=make_report())
    assert found(whole, "counts")["counts"].leaks
    assert not found(dataclasses.replace(target, report=make_report()), "counts")["counts"].leaks


@pytest.mark.parametrize("suffix", [".md", ".html", ".json", ".yaml"])
def test_an_id_in_a_text_is_found_as_a_word(target, suffix):
    forgotten, kept = target.ids[target.is_forget][0], target.ids[~target.is_forget][0]
    file = target.folder / f"some{suffix}"
    file.write_text(f"{forgotten}0 and {kept}")
    assert not found(target, "identifiers")["names"].leaks
    file.write_text(f"<b>{forgotten}</b>")
    assert found(target, "identifiers")["names"].leaks


def test_rows_of_training_examples_tell_by_those_that_are_missing(target):
    kept = dataclasses.replace(
        target, rows=pa.table({"example_id": target.ids[~target.is_forget], "stratum": [0] * 550})
    )
    assert found(kept, "identifiers")["gaps"].leaks
    test = pa.table({"example_id": [f"test-{i}" for i in range(TEST)]})
    assert not found(dataclasses.replace(target, rows=test), "identifiers")["gaps"].leaks
