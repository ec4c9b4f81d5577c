"""The figures that the questions look at, group by group, from discrepancies and scores of all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.auditing.discrepancy import Discrepancies, ExampleScores
from unlearn_audit.auditing.groups import QuestionGroup
from unlearn_audit.auditing.questions import GroupFigures
from unlearn_audit.auditing.statistics import pose


@dataclass(frozen=True, eq=False)
class AllFigures:
    """All models of an audit in the G groups of the questions.

    Attributes:
        groups: the groups; theirs are the last G of the groups that discrepancies are known of.
        pattern: discrepancies by the policy's measure.
        top1: top-1 disagreement.
        models: scores of each model that is compared, J of a candidate, by name.
        rows: of each in `pattern.models`, by name.
        references: scores of each reference, by name.
    """

    groups: Sequence[QuestionGroup]
    pattern: Discrepancies
    top1: Discrepancies
    models: Mapping[str, Sequence[ExampleScores]]
    rows: Mapping[str, Sequence[int]]
    references: Mapping[str, ExampleScores]

    def of_model(self, name: str) -> list[GroupFigures]:
        """Return the figures of a candidate or anchor, with all references."""
        rows = list(self.rows[name])
        return [
            GroupFigures(
                name=group.name,
                question=group.question,
                count=group.count,
                levels=np.array([self._level(scores, group) for scores in self.models[name]]),
                reference_levels=self.reference_levels(group),
                discrepancies=self.pattern.models[rows][:, :, place],
                reference_discrepancies=self.pattern.references[:, :, place],
                disagreement=float(self.top1.models[rows][:, :, place].mean()),
                reference_disagreement=_between(self.top1.references[:, :, place]),
            )
            for place, group in self._places()
        ]

    def of_reference(self, k: int) -> list[GroupFigures]:
        """Return the figures of reference `k` posing as the candidate, with the others as references."""
        found = []
        for place, group in self._places():
            levels = self.reference_levels(group)
            posing, others = pose(self.pattern.references[:, :, [place]], k)
            apart, between = pose(self.top1.references[:, :, [place]], k)
            found.append(
                GroupFigures(
                    name=group.name,
                    question=group.question,
                    count=group.count,
                    levels=levels[[k]],
                    reference_levels=np.delete(levels, k),
                    discrepancies=posing[:, :, 0],
                    reference_discrepancies=others[:, :, 0],
                    disagreement=float(apart.mean()),
                    reference_disagreement=_between(between[:, :, 0]),
                )
            )
        return found

    def reference_levels(self, group: QuestionGroup) -> np.ndarray:
        """Return the mean confidence in the label of each reference (K,)."""
        return np.array([self._level(scores, group) for scores in self.references.values()])

    def _places(self) -> list[tuple[int, QuestionGroup]]:
        return [(place - len(self.groups), group) for place, group in enumerate(self.groups)]

    def _level(self, scores: ExampleScores, group: QuestionGroup) -> float:
        return float(scores.confidence[group.members].mean(dtype=np.float64))


def _between(matrix: np.ndarray) -> float | None:
    """Return the mean over ordered pairs of K references (K, K)."""
    k = len(matrix)
    return float(matrix[~np.eye(k, dtype=bool)].mean()) if k > 1 else None
