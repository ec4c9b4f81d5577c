"""All that an audit computes from logits, before statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from unlearn_audit.auditing.comparing import Examples, comparisons
from unlearn_audit.auditing.discrepancy import Discrepancies, ExampleScores, discrepancies, members_of
from unlearn_audit.auditing.figures import AllFigures
from unlearn_audit.auditing.groups import question_groups
from unlearn_audit.auditing.models import AuditSubject, populations
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.auditing.report import Result
from unlearn_audit.measures import Measure
from unlearn_audit.measures import registry as measure_registry
from unlearn_audit.neighbourhood import Neighbourhood
from unlearn_audit.populations import POPULATIONS
from unlearn_audit.predictions import PredictionSource


@dataclass(frozen=True, eq=False)
class Work:
    """All that is computed from logits, before statistics."""

    subject: AuditSubject
    neighbourhood: Neighbourhood
    population: np.ndarray  # (n,)
    counts: np.ndarray  # (P, S)
    rows_of: dict[str, list[int]]  # model name: rows of `Discrepancies.models`
    found: list[Discrepancies]
    figures: AllFigures
    scores: dict[str, ExampleScores]  # of each model's first predictions
    extra: dict[str, list[ExampleScores]] = field(default_factory=dict)  # of all predictions of a candidate

    @classmethod
    def of(
        cls,
        subject: AuditSubject,
        neighbourhood: Neighbourhood,
        measures: list[Measure],
        progress: Callable[[str, int, int], None] | None,
    ) -> Work:
        population = populations(subject)
        strata = len(neighbourhood.strata)
        group = np.where(neighbourhood.stratum < 0, -1, population * strata + neighbourhood.stratum)
        rows_of: dict[str, list[int]] = {}
        sources: list[PredictionSource] = []
        for name, _, model in subject.compared():
            rows_of[name] = list(range(len(sources), len(sources) + len(model.predictions)))
            sources += model.predictions
        references = [m.predictions[0] for m in subject.references.values()]
        groups = len(POPULATIONS) * strata
        asked = question_groups(population, neighbourhood.proximity, subject.first.labels)
        members = np.column_stack([members_of(group, groups), *(question.members for question in asked)])
        top1 = measure_registry.create("disagreement")
        computed = measures if top1 in measures else [*measures, top1]
        every, scores = discrepancies(sources, references, members, computed, progress=progress)
        found = every[: len(measures)]
        by_name = {name: scores[rows[0]] for name, rows in rows_of.items()}
        by_name |= dict(zip(subject.references, scores[len(sources) :], strict=True))
        extra = {name: [scores[row] for row in rows] for name, rows in rows_of.items()}
        figures = AllFigures(
            groups=asked,
            pattern=every[0],
            top1=every[computed.index(top1)],
            models=extra,
            rows=rows_of,
            references={name: by_name[name] for name in subject.references},
        )
        kept = group[group >= 0]
        counts = np.bincount(kept, minlength=groups).reshape(len(POPULATIONS), strata)
        return cls(subject, neighbourhood, population, counts, rows_of, found, figures, by_name, extra)

    def results(self, policy: Policy) -> list[Result]:
        """Return every model, population and measure compared; references pose as candidates."""
        populations_examples = [self._examples(index) for index in range(len(POPULATIONS))]
        references = list(self.subject.references)
        return [
            Result(name, examples.population, found.measure.name, comparison)
            for found in self.found
            for examples in populations_examples
            for name, comparison in comparisons(found, examples, policy, models=self.rows_of, references=references)
        ]

    def _examples(self, index: int) -> Examples:
        here = self.population == index
        strata = len(self.neighbourhood.strata)
        return Examples(
            population=POPULATIONS[index],
            rows=here,
            groups=slice(index * strata, (index + 1) * strata),
            stratum=self.neighbourhood.stratum[here],
            num_strata=strata,
            proximity=None if self.neighbourhood.proximity is None else self.neighbourhood.proximity[here],
        )
