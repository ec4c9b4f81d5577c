"""Group means of pairwise discrepancies against plain loops, in chunks and out of order."""

from __future__ import annotations

import numpy as np
import pytest

from unlearn_audit.auditing.discrepancy import (
    CHUNK_NUMBERS,
    CHUNK_PAIRS,
    _ahead,
    _chunk_size,
    discrepancies,
    members_of,
)
from unlearn_audit.measures import registry
from unlearn_audit.predictions import Predictions, PredictionsFile

N, C, G = 210, 7, 4
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, C, N)
IDS = np.array([f"train-{i}" for i in range(N)])
BASE = RNG.normal(size=(N, C)) * 2
GROUP = RNG.integers(-1, G, N)
MEMBERS = members_of(GROUP, G)


def predictions(seed: int) -> Predictions:
    noise = np.random.default_rng(seed).normal(size=(N, C))
    return Predictions(IDS, np.full(N, "train"), LABELS, (BASE + noise).astype(np.float32), name=f"m{seed}")


MODELS = [predictions(10), predictions(11)]
REFERENCES = [predictions(k) for k in range(3)]


def shuffled(source: Predictions, seed: int) -> Predictions:
    order = np.random.default_rng(seed).permutation(N)
    return Predictions(
        source.example_ids[order], source.splits, source.labels[order], source.logits[order], name="shuffled"
    )


def test_group_means_equal_plain_loops() -> None:
    names = [n for n in registry.names() if n != "consensus_flip"]
    found, _ = discrepancies(MODELS, REFERENCES, MEMBERS, [registry.create(n) for n in names], chunk=50)
    for name, result in zip(names, found, strict=True):
        measure = registry.create(name)

        def pair(a: Predictions, b: Predictions, measure=measure) -> np.ndarray:
            return measure.of_logits(a.logits, b.logits, LABELS).numpy().astype(np.float64)

        for group in range(G):
            rows = group == GROUP
            assert result.counts[group] == rows.sum()
            for m, model in enumerate(MODELS):
                for k, reference in enumerate(REFERENCES):
                    expected = pair(model, reference)[rows].mean()
                    assert result.models[m, k, group] == pytest.approx(expected, abs=1e-6)
            for k in range(3):
                for other in set(range(3)) - {k}:
                    expected = pair(REFERENCES[k], REFERENCES[other])[rows].mean()
                    assert result.references[k, other, group] == pytest.approx(expected, abs=1e-6)
        floor = np.mean([pair(a, b) for a in REFERENCES for b in REFERENCES if a is not b], axis=0)
        np.testing.assert_allclose(result.floor, floor, atol=1e-6)
        mean = np.mean([pair(MODELS[1], r) for r in REFERENCES], axis=0)
        np.testing.assert_allclose(result.pointwise[1], mean, atol=1e-5)


def test_consensus_flip_counts_only_where_references_agree() -> None:
    (found,), _ = discrepancies(MODELS, REFERENCES, MEMBERS, [registry.create("consensus_flip")])
    correct = np.stack([r.logits.argmax(1) == LABELS for r in REFERENCES])
    agree = (correct.sum(0) == 0) | (correct.sum(0) == 3)
    mine = MODELS[0].logits.argmax(1) == LABELS
    assert np.isnan(found.pointwise[0][~agree]).all()
    for group in range(G):
        rows = (group == GROUP) & agree
        assert found.counts[group] == rows.sum()
        assert found.models[0, 0, group] == pytest.approx((mine != correct[0])[rows].mean())
    others = (correct[1] == correct[2]) & (GROUP == 0)  # reference 0 posing against 1 and 2
    assert found.references[0, 1, 0] == pytest.approx((correct[0] != correct[1])[others].mean())


def test_chunks_files_and_order_change_nothing(tmp_path) -> None:
    measures = [registry.create(n) for n in registry.names()]
    whole, scores = discrepancies(MODELS, REFERENCES, MEMBERS, measures, chunk=64)
    for index, source in enumerate([*MODELS, *REFERENCES]):
        source.save(tmp_path / f"{index}.parquet")
    files = [PredictionsFile(tmp_path / f"{i}.parquet") for i in range(5)]
    streamed, _ = discrepancies(files[:2], files[2:], MEMBERS, measures, chunk=64)
    mixed, mixed_scores = discrepancies(
        [shuffled(MODELS[0], 1), MODELS[1]],
        [REFERENCES[0], shuffled(REFERENCES[1], 2), files[4]],
        MEMBERS,
        measures,
    )
    for a, b, c in zip(whole, streamed, mixed, strict=True):
        np.testing.assert_array_equal(a.models, b.models)
        np.testing.assert_array_equal(a.references, b.references)
        np.testing.assert_allclose(a.models, c.models, rtol=1e-6)
        np.testing.assert_allclose(a.references, c.references, rtol=1e-6)
    np.testing.assert_array_equal(scores[0].top1, mixed_scores[0].top1)


def test_scores_equal_slow_formulas() -> None:
    from scipy.special import softmax

    _, scores = discrepancies(MODELS[:1], REFERENCES[:1], MEMBERS, [])
    p = softmax(MODELS[0].logits.astype(np.float64), axis=1)
    confidence = p[np.arange(N), LABELS]
    rest = np.where(np.arange(C) == LABELS[:, None], 0, p * np.log(1 - p)).sum(1)
    np.testing.assert_allclose(scores[0].confidence, confidence, rtol=1e-5)
    np.testing.assert_allclose(scores[0].entropy, -(p * np.log(p)).sum(1), rtol=1e-4)
    np.testing.assert_allclose(
        scores[0].modified_entropy, -(1 - confidence) * np.log(confidence) - rest, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(scores[0].margin, np.log(confidence / (1 - confidence)), rtol=1e-4, atol=1e-5)


def test_groups_may_overlap_and_are_each_computed_as_if_alone() -> None:
    rng = np.random.default_rng(0)
    members = rng.random((N, 3)) < [[0.6, 0.1, 0.0]]
    measures = [registry.create("js")]
    (together,), _ = discrepancies(MODELS, REFERENCES, members, measures, chunk=50)
    for place in range(2):
        (alone,), _ = discrepancies(MODELS, REFERENCES, members[:, [place]], measures, chunk=50)
        np.testing.assert_allclose(together.models[:, :, place], alone.models[:, :, 0])
        np.testing.assert_allclose(together.references[:, :, place], alone.references[:, :, 0])
    assert together.counts.tolist() == members.sum(axis=0).tolist()
    assert np.isnan(together.models[:, :, 2]).all()  # an empty group


def test_groups_by_number_leave_out_those_of_none() -> None:
    found = members_of(np.array([0, 2, -1, 2]), 3)
    assert found.tolist() == [[True, False, False], [False, False, True], [False] * 3, [False, False, True]]


def test_one_reference_has_no_floor() -> None:
    (found,), _ = discrepancies(MODELS, REFERENCES[:1], MEMBERS, [registry.create("js")])
    assert np.isnan(found.floor).all()
    assert np.isfinite(found.models).all()


def test_progress_ends_with_all_examples() -> None:
    told: list[tuple[str, int, int]] = []
    discrepancies(MODELS, REFERENCES, MEMBERS, [], chunk=100, progress=lambda *step: told.append(step))
    assert told == [("examples compared", done, N) for done in (100, 200, N)]


@pytest.mark.parametrize("classes", [2, 100, 1000])
def test_chunks_of_more_models_hold_fewer_examples(classes: int) -> None:
    sizes = [_chunk_size(classes, 3, references) for references in (1, 5, 32, 200)]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] >= 64
    assert sizes[1] == min(CHUNK_NUMBERS // classes, CHUNK_PAIRS // 40)  # eight models: as much as for one
    assert sizes[2] * 35 * 32 <= CHUNK_PAIRS or sizes[2] == 64


def test_what_is_read_ahead_comes_in_order_and_with_its_error():
    def chunks():
        yield from ((0,), (1,), (2,))
        raise OSError("gone")

    ahead, found = _ahead(chunks()), []
    with pytest.raises(OSError, match="gone"):
        found.extend(ahead)
    assert found == [(0,), (1,), (2,)]
    assert list(_ahead(iter([(3,), (4,)]))) == [(3,), (4,)]
    abandoned = _ahead(iter([(5,), (6,)]))
    assert next(abandoned) == (5,)
    abandoned.close()
