"""The figures of the questions, from predictions by plain means, and with one reference posing."""

from __future__ import annotations

import numpy as np
import pytest

from unlearn_audit.auditing.discrepancy import discrepancies
from unlearn_audit.auditing.figures import AllFigures
from unlearn_audit.auditing.groups import QuestionGroup
from unlearn_audit.auditing.questions import GroupFigures
from unlearn_audit.measures import registry
from unlearn_audit.predictions import Predictions

N, C, K = 90, 4, 4
LABELS = np.random.default_rng(0).integers(0, C, N)


def model(seed: int) -> Predictions:
    logits = np.random.default_rng(seed).normal(size=(N, C)).astype(np.float32)
    return Predictions(np.arange(N).astype(str), np.full(N, "train"), LABELS, logits, name=f"m{seed}")


SEEDS = [model(20), model(21)]
REFERENCES = [model(k) for k in range(K)]
GROUPS = (
    QuestionGroup("forget", "forgotten", np.arange(N) < 3),
    QuestionGroup("near_retain", "neighbours", (np.arange(N) >= 3) & (np.arange(N) < 50)),
    QuestionGroup("other_retain", "rest", np.arange(N) >= 40),  # groups may overlap
)


def all_figures(references: list[Predictions]) -> AllFigures:
    strata = np.arange(N)[:, None] % 5 == np.arange(5)  # groups of another kind stand first
    members = np.column_stack([strata, *(group.members for group in GROUPS)])
    measures = [registry.create("js"), registry.create("disagreement")]
    (pattern, top1), scores = discrepancies(SEEDS, references, members, measures)
    return AllFigures(
        GROUPS,
        pattern,
        top1,
        models={"ltd": scores[:2]},
        rows={"ltd": [0, 1]},
        references={r.name: s for r, s in zip(references, scores[2:], strict=True)},
    )


def confidence(found: Predictions) -> np.ndarray:
    exponentials = np.exp(found.logits.astype(np.float64))
    return (exponentials / exponentials.sum(axis=1, keepdims=True))[np.arange(N), LABELS]


def js(a: Predictions, b: Predictions) -> np.ndarray:
    return registry.create("js").of_logits(a.logits, b.logits, LABELS).numpy()


def check(found: GroupFigures, candidates: list[Predictions], references: list[Predictions], members) -> None:
    """Compare with plain means over the members."""
    assert found.count == members.sum()
    np.testing.assert_allclose(found.levels, [confidence(u)[members].mean() for u in candidates], rtol=1e-5)
    np.testing.assert_allclose(found.reference_levels, [confidence(r)[members].mean() for r in references], rtol=1e-5)
    expected = [[js(u, r)[members].mean() for r in references] for u in candidates]
    np.testing.assert_allclose(found.discrepancies, expected, rtol=1e-4)
    pairs = [(a, b) for a in range(len(references)) for b in range(len(references)) if a != b]
    for a, b in pairs:
        assert found.reference_discrepancies[a, b] == pytest.approx(
            js(references[a], references[b])[members].mean(), rel=1e-4
        )
    differ = [(u.logits.argmax(1) != r.logits.argmax(1))[members].mean() for u in candidates for r in references]
    assert found.disagreement == pytest.approx(np.mean(differ), rel=1e-5)
    between = [(references[a].logits.argmax(1) != references[b].logits.argmax(1))[members].mean() for a, b in pairs]
    assert found.reference_disagreement == pytest.approx(np.mean(between), rel=1e-5)


def test_a_model_s_figures_are_plain_means_over_each_group() -> None:
    for found, group in zip(all_figures(REFERENCES).of_model("ltd"), GROUPS, strict=True):
        assert (found.name, found.question) == (group.name, group.question)
        check(found, SEEDS, REFERENCES, group.members)


@pytest.mark.parametrize("k", range(K))
def test_a_posing_reference_is_judged_as_if_it_had_never_been_a_reference(k) -> None:
    others = [reference for place, reference in enumerate(REFERENCES) if place != k]
    for found, group in zip(all_figures(REFERENCES).of_reference(k), GROUPS, strict=True):
        check(found, [REFERENCES[k]], others, group.members)


def test_two_references_leave_one_to_pose_against_and_no_disagreement_between() -> None:
    found = all_figures(REFERENCES[:2]).of_reference(0)[0]
    assert found.discrepancies.shape == (1, 1) and found.reference_disagreement is None
