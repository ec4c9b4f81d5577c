"""A pool of one's own models: how often would audits with these retrained models be right?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing.models import populations_in
from unlearn_audit.auditing.neighbours import neighbourhood_in
from unlearn_audit.calibration.deceivers import DECEIVERS
from unlearn_audit.calibration.pool import HONEST, ORIGINAL, Pool
from unlearn_audit.errors import AuditError
from unlearn_audit.given import (
    ArrayRows,
    Given,
    GivenModel,
    given_embeddings,
    given_forget,
    given_models,
    given_proximities,
)
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.predictions import PredictionSource, matching_rows
from unlearn_audit.predictions.names import Names

CHUNK = 4096


def own_pool(
    references: Given | Sequence[Given] | Mapping[str, Given],
    original: Given,
    forget: Any,
    *,
    candidates: Given | Sequence[Given] | Mapping[str, Given] = (),
    labels: Any = None,
    example_ids: Any = None,
    splits: Any = None,
    embeddings: Any = None,
    proximities: Any = None,
    neighbourhood: NeighbourhoodConfig | None = None,
    names: Names | None = None,
    name: str = "own",
) -> Pool:
    """Return the pool of one's own retrained models, to calibrate an audit of one's own task.

    Args:
        references: N >= 4 retrained models, in any form that `unlearn_audit.audit` takes. Each poses as an honest
            candidate against others, and the deceiving candidates are made from them.
        original: the model before unlearning.
        forget: the forget set, as `unlearn_audit.audit` takes it.
        candidates: further models, each a kind of its own, or a kind of several where it is given as a list.
        labels: (n,) classes from 0 of the rows of all arrays.
        example_ids: (n,) ids of these rows; the row numbers by default.
        splits: (n,) "train" or "test"; by default all are training examples.
        embeddings: as `unlearn_audit.audit` takes them; else the original's.
        proximities: likewise, instead of embeddings.
        neighbourhood: how to compute proximity.
        names: as `unlearn_audit.audit` takes them.
        name: of the pool.

    Raises:
        AuditError: for fewer than four retrained models, without test examples, for candidates named as the pool's own
            kinds are, or where the forget set does not fit.
        PredictionsError: where predictions cannot be read, or do not fit together.
    """
    rows = ArrayRows.of(labels, example_ids, splits)
    names = names or Names()
    models = given_models(candidates, references, original, None, rows, names)
    if len(models.references) <= MIN_REFERENCES:
        raise AuditError(
            f"Expected at least {MIN_REFERENCES + 1} retrained models, so that one can pose as the candidate of the "
            f"others, got {len(models.references)}."
        )
    taken = [kind for kind in models.candidates if kind in (HONEST, ORIGINAL, *DECEIVERS)]
    if taken:
        raise AuditError(f"Expected another name of a candidate than {taken[0]!r}, which is that of a kind of models.")
    first = next(iter(models.references.values())).sources[0]
    population = populations_in(first, given_forget(forget, rows).ids)
    if not (first.splits == "test").any():
        raise AuditError("Expected test examples among the predictions, got none.")
    source = given_proximities(proximities, rows, names) or given_embeddings(embeddings, rows, names)
    before = models.original.sources[0] if models.original else first
    near = neighbourhood_in(neighbourhood or NeighbourhoodConfig(), first, population, original=before, source=source)
    kinds: dict[str, Sequence[GivenModel]] = {
        ORIGINAL: [models.original] if models.original else [],
        HONEST: list(models.references.values()),
        **{kind: [model] for kind, model in models.candidates.items()},
    }
    return Pool(
        name,
        first.example_ids,
        first.labels,
        population,
        np.asarray(near.nearness, np.float32)[None],
        {kind: np.stack([_logits(first, s) for m in found for s in m.sources]) for kind, found in kinds.items()},
        {"num_classes": first.num_classes},
    )


def _logits(first: PredictionSource, source: PredictionSource) -> np.ndarray:
    """Return logits (n, c) in the order of the first model's examples."""
    rows = matching_rows(first, source)
    found = np.concatenate(list(source.logit_chunks(CHUNK)))
    return found if rows is None else found[rows]
