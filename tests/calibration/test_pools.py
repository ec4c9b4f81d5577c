"""Pools: what ships is whole, what is saved is read again, and what is drawn is what plain loops compute."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from unlearn_audit.auditing.plan import make_plan
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.questions import answer_questions
from unlearn_audit.calibration.building import NOISY, RECIPES, WRONG_SET, build_pool
from unlearn_audit.calibration.deceivers import DECEIVERS
from unlearn_audit.calibration.draws import FOLLOWING, measured, measured_few, random_audits
from unlearn_audit.calibration.foresight import foresights
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, SHIPPED, Pool, shipped_pool
from unlearn_audit.calibration.withholding import is_withheld
from unlearn_audit.errors import AuditError, ConfigurationError
from unlearn_audit.populations import FORGET, RETAIN, TEST


@pytest.fixture(scope="module")
def small() -> Pool:
    """A made-up pool: 6 honest models and 2 originals on 400 examples of 4 classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    population = np.where(np.arange(400) >= 300, TEST, RETAIN)
    population[np.flatnonzero((labels == 0) & (population == RETAIN))[:30]] = FORGET
    shared = 3 * np.eye(4)[labels] + rng.normal(size=(400, 4))

    def models(count: int, knows: float) -> np.ndarray:
        made = shared + 0.3 * rng.normal(size=(count, 400, 4))
        made[:, population == FORGET, 0] += knows
        return made.astype(np.float16)

    logits = {ORIGINAL: models(2, 4.0), HONEST: models(6, -1.0)}
    proximity = rng.normal(size=(2, 400)).astype(np.float32)
    ids = np.array([f"{i}" for i in range(400)])
    return Pool("small", ids, labels, population, proximity, logits, {"num_classes": 4})


def test_a_pool_is_read_as_it_was_saved(small, tmp_path) -> None:
    small.save(tmp_path / "pool.parquet")
    read = Pool.load(tmp_path / "pool.parquet")
    assert (read.name, read.recipe) == (small.name, small.recipe)
    for name in ("example_ids", "labels", "population", "proximity"):
        np.testing.assert_array_equal(getattr(read, name), getattr(small, name))
    assert read.logits.keys() == small.logits.keys()
    for kind, logits in small.logits.items():
        np.testing.assert_array_equal(read.logits[kind], logits)


def test_what_is_no_pool_is_refused(tmp_path) -> None:
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(AuditError, match="Parquet file of a pool"):
        Pool.load(tmp_path / "no.parquet")
    with pytest.raises(AuditError, match="Did you mean 'digits'"):
        shipped_pool("digit")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_pool_holds_what_its_recipe_says(name) -> None:
    pool, recipe = shipped_pool(name), RECIPES[name]
    assert pool.num_retrained == recipe.retrained >= 24
    assert {kind for kind, _ in recipe.models()} == set(pool.logits)
    stated = json.loads(json.dumps(dataclasses.asdict(recipe)))
    assert {key: pool.recipe[key] for key in stated} == stated
    assert pool.recipe[FOLLOWING] == [NOISY, *recipe.methods]
    confidence = _confidence(pool.logits[ORIGINAL].astype(np.float64), pool.labels)[:, pool.population == FORGET]
    honest = _confidence(pool.logits[HONEST].astype(np.float64), pool.labels)[:, pool.population == FORGET]
    assert confidence.mean() > honest.mean()
    wrong = _confidence(pool.logits[WRONG_SET].astype(np.float64), pool.labels)[:, pool.population == FORGET]
    assert wrong.mean() > honest.mean()


def test_a_drawn_audit_holds_what_plain_loops_compute(small) -> None:
    figures = measured(small)
    rng = np.random.default_rng(1)
    for drawn in random_audits(figures, ORIGINAL, 3, 4, rng):
        forget = next(group for group in drawn.figures if group.name == "forget")
        rows = small.population == FORGET
        original = _probabilities(small.logits[ORIGINAL][drawn.models[0]].astype(np.float64))
        assert forget.levels[0] == pytest.approx(original[rows][:, 0].mean(), abs=1e-5)
        honest = [_probabilities(logits.astype(np.float64)) for logits in small.logits[HONEST]]
        every = {round(_js(original[rows], other[rows]), 5) for other in honest}
        assert {round(float(value), 5) for value in forget.discrepancies[0]} <= every
        assert forget.count == 30


def test_a_deceiver_is_never_judged_by_the_model_that_it_was_made_from(small) -> None:
    figures = measured(small)
    kind = "over-forgotten"
    for drawn in random_audits(figures, kind, 5, 50, np.random.default_rng(0)):
        other_tests = next(group for group in drawn.figures if group.name == "other_test")
        assert (other_tests.discrepancies > 1e-4).all()


def test_deceivers_change_only_what_they_say(small) -> None:
    logits = small.logits[HONEST][0]
    changed = {
        kind: np.flatnonzero(
            ~np.isclose(deceive(small, logits, 0, np.random.default_rng(0)), logits, atol=1e-6).all(axis=1)
        )
        for kind, deceive in DECEIVERS.items()
    }
    assert len(changed["damaged on the 50 nearest"]) == 50
    nearest = np.argsort(-small.proximity[0][small.population == RETAIN], kind="stable")[:50]
    assert set(changed["damaged on the 50 nearest"]) == set(np.flatnonzero(small.population == RETAIN)[nearest])
    assert set(changed["damaged on its class"]) == set(
        np.flatnonzero((small.population == RETAIN) & (small.labels == 0))
    )
    assert set(changed["over-forgotten"]) == set(np.flatnonzero(small.population == FORGET))
    assert set(changed["level without pattern"]) <= set(np.flatnonzero(small.population == FORGET))
    kept = DECEIVERS["level without pattern"](small, logits, 0, np.random.default_rng(0))
    rows = small.population == FORGET
    np.testing.assert_allclose(
        _probabilities(kept)[rows, 0], _probabilities(logits.astype(np.float64))[rows, 0], rtol=1e-6
    )


def test_a_part_of_the_forget_set_can_be_asked_about(small) -> None:
    whole = measured(small)
    few = measured_few(small, whole, 3, seed=0)
    (drawn,) = random_audits(few, ORIGINAL, 4, 1, np.random.default_rng(0))
    (same,) = random_audits(whole, ORIGINAL, 4, 1, np.random.default_rng(0))
    forget, *others = drawn.figures
    assert (forget.name, forget.count) == ("forget", 3)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(small.population == FORGET))[:3]
    original = _probabilities(small.logits[ORIGINAL][drawn.models[0]].astype(np.float64))
    assert forget.levels[0] == pytest.approx(original[rows, 0].mean(), abs=1e-5)
    for group, other in zip(others, same.figures[1:], strict=True):
        assert (group.name, group.count) == (other.name, other.count)
        np.testing.assert_array_equal(group.reference_discrepancies, other.reference_discrepancies)
    assert answer_questions(drawn.figures, Policy())[0].question == "forgotten"


def test_several_candidates_are_judged_as_one_method_by_other_models(small) -> None:
    figures = measured(small)
    for drawn in random_audits(figures, HONEST, 4, 20, np.random.default_rng(0), together=2):
        assert len(set(drawn.models)) == 2 and not set(drawn.models) & set(drawn.references)
        for group in drawn.figures:
            assert group.levels.shape == (2,) and group.discrepancies.shape == (2, 4)
            assert (group.discrepancies > 0).all()


def test_an_audit_is_withheld_where_a_reference_knows_the_forget_set_and_seldom_else(small) -> None:
    figures = measured(small)
    audits = list(random_audits(figures, HONEST, 5, 40, np.random.default_rng(0)))
    assert sum(is_withheld(audit, Policy()) for audit in audits) <= 6
    for audit in audits[:10]:
        assert is_withheld(_with_an_original_among_the_references(audit), Policy())


def _plan_error(pool: Pool, place: int) -> float:
    """What a plan from test examples alone says is memorised, less what all retrained models say."""

    def confidence(logits: np.ndarray) -> np.ndarray:
        return _confidence(logits[None].astype(np.float64), pool.labels)[0]

    original = pool.logits[ORIGINAL][place]
    plan = make_plan(
        confidence(original),
        original.argmax(axis=1) == pool.labels,
        labels=pool.labels,
        population=pool.population,
        proximity=pool.proximity[place].astype(np.float64),
        class_names=[str(label) for label in range(original.shape[1])],
        policy=Policy(),
    )
    honest = np.mean([confidence(logits) for logits in pool.logits[HONEST]], axis=0)
    return plan.memorised - float((confidence(original) - honest)[pool.population == FORGET].mean())


def _with_an_original_among_the_references(audit):
    """The first reference's figures are replaced by an original's."""
    honest, original = audit.pool.kinds[HONEST], audit.pool.kinds[ORIGINAL]
    place = audit.references[0]
    levels, discrepancies = honest.levels.copy(), honest.discrepancies.copy()
    levels[place] = original.levels[0]
    discrepancies[place], discrepancies[:, place] = original.discrepancies[0], original.discrepancies[0]
    kinds = {
        **audit.pool.kinds,
        HONEST: dataclasses.replace(honest, levels=levels, discrepancies=discrepancies),
    }
    return dataclasses.replace(audit, pool=dataclasses.replace(audit.pool, kinds=kinds))


def test_plans_are_held_against_what_all_retrained_models_say(small) -> None:
    found = {foresight.known: foresight for foresight in foresights(small, Policy(), np.random.default_rng(0))}
    assert sorted(found) == [0, 1, 2, 3]
    errors = [_plan_error(small, place) for place in range(2)]
    assert found[0].error == pytest.approx(np.mean(errors), abs=1e-6)
    assert found[0].root_mean_square == pytest.approx(np.sqrt(np.mean(np.square(errors))), abs=1e-6)
    assert abs(found[3].error) < found[3].root_mean_square < found[1].root_mean_square
    assert found[1].covered >= 0.9 and found[3].covered >= 0.9


def test_an_unknown_pool_cannot_be_built(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'digits'"):
        build_pool("digit", tmp_path)


@pytest.mark.slow
def test_a_pool_is_built_once_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch) -> None:
    tiny = dataclasses.replace(
        RECIPES["digits"],
        retrained=2,
        others=1,
        training={"epochs": 1, "batch_size": 128, "learning_rate": 0.1},
        methods={"FT": RECIPES["digits"].methods["FT"]},
    )
    monkeypatch.setitem(RECIPES, "digits", tiny)
    told: list[str] = []
    pool = build_pool("digits", tmp_path, progress=lambda what, done, total: told.append(what))
    assert told == ["original 0", "retrained 0", "retrained 1", f"{WRONG_SET} 0", f"{NOISY} 0", "FT 0"]
    assert {kind: len(logits) for kind, logits in pool.logits.items()}[HONEST] == 2
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    next(path for path in written if path.name.startswith("FT")).unlink()
    again = build_pool("digits", tmp_path)
    for kind, logits in pool.logits.items():
        np.testing.assert_array_equal(again.logits[kind], logits)
    kept = [path for path in written if not path.name.startswith("FT")]
    assert all(path.stat().st_mtime_ns == written[path] for path in kept)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(_probabilities(logits), labels[None, :, None], axis=2)[:, :, 0]


def _js(p: np.ndarray, q: np.ndarray) -> float:
    middle = (p + q) / 2
    parts = [np.where(x > 0, x * np.log2(np.maximum(x, 1e-300) / middle), 0).sum(axis=1) for x in (p, q)]
    return float((sum(parts) / 2).mean())
