"""The ledger: one row an example, as it lies in `examples.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.auditing._scores import MIN_REFERENCES
from unlearn_audit.auditing._work import Work
from unlearn_audit.auditing.discrepancy import ExampleScores
from unlearn_audit.auditing.groups import near_groups
from unlearn_audit.auditing.likelihood import likelihood_ratios
from unlearn_audit.auditing.membership import clipped_margins
from unlearn_audit.auditing.policy import Policy
from unlearn_audit.populations import FORGET, POPULATIONS

if TYPE_CHECKING:
    import pyarrow as pa


def ledger_of(work: Work, policy: Policy) -> pa.Table:
    """Return one row an example, with columns of its own for each model.

    `near` marks the nearest tenth of the retained and the nearest fifth of the test examples; without proximities, for
    which there is no column then, those of the classes that lost examples. A model's columns are
    `.top1`, `.confidence` (in the label), `.discrepancy` and `.excess` (by the policy's measure). On the forget set,
    and null elsewhere, candidates and the original also have `.remembered`: their confidence minus the references'
    mean, from -1 to 1. With an original and at least three references, candidates have `.likelihood_ratio`: log10 of
    how much likelier their margin is around the original's than around the references' (see `likelihood_ratios`).
    """
    import pyarrow as pa

    first, found, proximity = work.subject.first, work.found[0], work.neighbourhood.proximity
    near = [group.members for group in work.figures.groups if group.name in near_groups(proximity)]
    columns: dict[str, Any] = {
        "example_id": first.example_ids.tolist(),
        "split": first.splits.tolist(),
        "population": np.asarray(POPULATIONS)[work.population].tolist(),
        "label": first.labels,
        **({} if proximity is None else {"proximity": np.asarray(proximity, dtype=np.float32)}),
        "stratum": np.asarray(work.neighbourhood.stratum, dtype=np.int16),
        "near": np.logical_or.reduce([np.zeros(len(first.labels), dtype=bool), *near]),
        "floor": found.floor,
    }
    nearest = work.neighbourhood.nearest_forget_ids
    columns["nearest_forget_id"] = [""] * len(first.labels) if nearest is None else nearest.tolist()
    pointwise = {name: found.pointwise[rows].mean(axis=0) for name, rows in work.rows_of.items()}
    pointwise |= dict(zip(work.subject.references, found.pointwise_references, strict=True))
    for name, scores in work.scores.items():
        columns[f"{name}.top1"] = scores.top1.astype(np.int32)
        columns[f"{name}.confidence"] = scores.confidence.astype(np.float32)
        columns[f"{name}.discrepancy"] = pointwise[name]
        columns[f"{name}.excess"] = pointwise[name] - found.floor
    columns |= _on_the_forget_set(work)
    return pa.table(columns).replace_schema_metadata({"measure": policy.measure})


def _on_the_forget_set(work: Work) -> dict[str, pa.Array]:
    """Return how much each model remembers of each deleted example, and how likely it is that it saw it."""
    import pyarrow as pa

    subject, elsewhere = work.subject, work.population != FORGET
    original = work.extra["original"] if subject.original is not None else []
    references = [work.scores[name] for name in subject.references]
    expected = np.mean([scores.confidence for scores in references], axis=0, dtype=np.float64)
    columns = {}
    for name in (*subject.candidates, *(["original"] if original else [])):
        remembered = work.scores[name].confidence - expected
        columns[f"{name}.remembered"] = pa.array(remembered.astype(np.float32), mask=elsewhere)
    for name in subject.candidates if original and len(references) >= MIN_REFERENCES else ():
        ratios = np.zeros(len(elsewhere), np.float32)
        ratios[~elsewhere] = likelihood_ratios(
            _margins(work.extra[name], ~elsewhere).mean(axis=0),
            _margins(original, ~elsewhere),
            _margins(references, ~elsewhere),
        )
        columns[f"{name}.likelihood_ratio"] = pa.array(ratios, mask=elsewhere)
    return columns


def _margins(scores: Sequence[ExampleScores], rows: np.ndarray) -> np.ndarray:
    return np.stack([clipped_margins(found.margin[rows]) for found in scores])
