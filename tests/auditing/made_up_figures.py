"""Figures of groups, as the three questions look at them, with the truth known."""

from __future__ import annotations

import numpy as np

from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.questions import GroupFigures

ASKED: dict[str, Question] = {
    "forget": "forgotten",
    "nearest_retain": "neighbours",
    "near_retain": "neighbours",
    "other_retain": "rest",
    "other_test": "rest",
}


def group(
    name: str = "forget",
    *,
    levels: list[float] | np.ndarray = (0.5,),
    references: list[float] | np.ndarray = (0.49, 0.50, 0.51),
    count: int = 100,
    seed: int = 0,
    floor: float = 0.1,
    spread: float = 0.02,
    excess: float = 0.0,
    disagreement: float | None = None,
    reference_disagreement: float | None = None,
) -> GroupFigures:
    """One group: levels as given; discrepancies are `floor` times models' effects, the candidates' plus `excess`."""
    levels, references = np.asarray(levels, float), np.asarray(references, float)
    j, k = len(levels), len(references)
    effects = np.exp(spread * np.random.default_rng(seed).normal(size=j + k))
    whole = floor * effects[:, None] * effects
    return GroupFigures(
        name=name,
        question=ASKED[name],
        count=count,
        levels=levels,
        reference_levels=references,
        discrepancies=whole[:j, j:] + excess,
        reference_discrepancies=np.where(np.eye(k, dtype=bool), np.nan, whole[j:, j:]),
        disagreement=disagreement,
        reference_disagreement=reference_disagreement,
    )


def honest(k: int, rng: np.random.Generator, *, spread: float = 0.01) -> list[GroupFigures]:
    """All groups of one more retrained model: its levels and discrepancies are drawn as the references' are."""
    return [
        group(
            name,
            levels=0.5 + spread * rng.normal(size=1),
            references=0.5 + spread * rng.normal(size=k),
            seed=int(rng.integers(2**31)),
        )
        for name in ASKED
    ]
