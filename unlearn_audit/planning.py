"""Before anything is spent: from the original's predictions to what an audit could tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unlearn_audit.auditing.discrepancy import example_scores
from unlearn_audit.auditing.models import populations_in
from unlearn_audit.auditing.neighbours import neighbourhood_in
from unlearn_audit.auditing.plan import Plan, make_plan
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.errors import AuditError
from unlearn_audit.given import ArrayRows, Given, given_embeddings, given_forget, given_models, given_proximities
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions.names import Names


def plan(
    original: Given,
    forget: Any,
    *,
    references: Given | Sequence[Given] | Mapping[str, Given] = (),
    labels: Any = None,
    example_ids: Any = None,
    splits: Any = None,
    embeddings: Any = None,
    proximities: Any = None,
    names: Names | None = None,
    policy: Policy | None = None,
    neighbourhood: NeighbourhoodConfig | None = None,
    class_names: Sequence[str] = (),
    seconds: float | None = None,
) -> Plan:
    """Say before any retraining what an audit could tell: what is memorised, who is near, what references would show.

    It screens, and never passes anything: what retraining would do is not known before it is done.

    Args:
        original: the model before unlearning, in any form that `audit` takes.
        forget: the forget set, as `audit` takes it.
        references: retrained models, if there are some already; they take the place of the test examples that the
            deleted ones are compared with.
        labels: (n,) classes from 0 of the rows of all arrays.
        example_ids: (n,) ids of these rows; the row numbers by default.
        splits: (n,) "train" or "test"; by default all are training examples.
        embeddings: as `audit` takes them; else the original's.
        proximities: as `audit` takes them, instead of embeddings.
        names: as `audit` takes them.
        policy: what is tolerated, and alpha.
        neighbourhood: how to compute proximity.
        class_names: c names; by default those of `names.classes`, or the indices.
        seconds: that one retraining takes.

    Raises:
        PredictionsError: where predictions cannot be read, or do not fit together.
        AuditError: without test examples and without retrained models; without anything to tell who is near; where the
            forget set does not fit the predictions, or `seconds` is not positive.
    """
    if seconds is not None and not 0 < seconds < float("inf"):
        raise AuditError(f"Expected the seconds that one retraining takes, above 0, got {seconds!r}.")
    rows = ArrayRows.of(labels, example_ids, splits)
    names = names or Names()
    class_names = class_names or names.classes
    models = given_models((), references, original, None, rows, names).map(lambda _, model: model.audited())
    first, *others = [model.predictions[0] for model in (models.original, *models.references.values()) if model]
    if class_names and len(class_names) != first.num_classes:
        raise AuditError(f"Expected {first.num_classes} class names, got {len(class_names)}.")
    population = populations_in(first, given_forget(forget, rows).ids)
    source = given_proximities(proximities, rows, names) or given_embeddings(embeddings, rows, names)
    config = neighbourhood or NeighbourhoodConfig()
    near = neighbourhood_in(config, first, population, original=first, source=source)
    scores, *known = example_scores([first, *others])
    return make_plan(
        scores.confidence.astype(np.float64),
        scores.correct,
        labels=first.labels,
        population=population,
        proximity=near.nearness,
        class_names=class_names or [str(index) for index in range(first.num_classes)],
        policy=policy or Policy(),
        reference_confidence=np.array([found.confidence for found in known], dtype=np.float64) if known else None,
        seconds=seconds,
    )
