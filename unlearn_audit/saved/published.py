"""Compute again what a published folder lets anyone check: every figure on the test set, and what follows from figures.

Such a folder holds predictions on test examples alone, because rows of training examples would tell who was forgotten.
Strata come from its ledger. Controls and verdicts follow from the report's own comparisons, whatever those rest on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from unlearn_audit.auditing.controls import check_controls
from unlearn_audit.auditing.discrepancy import Discrepancies, discrepancies
from unlearn_audit.auditing.report import AuditReport, Role
from unlearn_audit.auditing.statistics import Comparison, compare, pose, sampling_variance
from unlearn_audit.auditing.verdict import Policy, decide
from unlearn_audit.errors import AuditError
from unlearn_audit.measures import registry
from unlearn_audit.predictions import PredictionsFile
from unlearn_audit.saved.folder import AuditRequest


@dataclasses.dataclass(frozen=True, eq=False)
class _TestSet:
    """The strata of n test examples, in the order of the first reference's predictions."""

    stratum: np.ndarray
    num_strata: int


def recomputed_test_figures(
    folder: str | Path, report: AuditReport, request: AuditRequest
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, saved, computed) of every comparison and accuracy on the test set.

    Args:
        folder: a published audit's.
        report: its report.
        request: of its manifest, naming the predictions that it holds.

    Raises:
        PredictionsError: where the predictions cannot be read or do not fit together.
        AuditError: where the ledger lacks an example of theirs.
    """
    folder = Path(folder)
    compared = {**request.candidates, "original": request.original, "untrained": request.untrained}
    rows_of: dict[str, list[int]] = {}
    sources: list[PredictionsFile] = []
    for name, files in compared.items():
        if files is not None:
            rows_of[name] = list(range(len(sources), len(sources) + len(files.predictions)))
            sources += [PredictionsFile(folder / path) for path in files.predictions]
    references = [PredictionsFile(folder / files.predictions[0]) for files in request.references.values()]
    test = _test_set(folder, references[0], len(report.strata))
    measures = [registry.create(measure.name) for measure in report.measures]
    found, scores = discrepancies(sources, references, test.stratum, test.num_strata, measures)
    place = {(r.model, r.population, r.measure): index for index, r in enumerate(report.results)}
    for discrepancy in found:
        for name, comparison in _comparisons(discrepancy, rows_of, list(request.references), test, report.policy):
            measure = discrepancy.measure.name
            where = place.get((name, "test", measure), f"{name}, test, {measure}: absent")
            saved = report.comparison(name, "test", measure)
            yield f"/results/{where}/comparison", _without_rank(saved), comparison
    names = {name: rows[0] for name, rows in rows_of.items()}
    names |= {name: len(sources) + k for k, name in enumerate(request.references)}
    for name, row in names.items():
        saved = report.aggregate[name].test_accuracy if name in report.aggregate else None
        yield f"/aggregate/{escaped(name)}/test_accuracy", saved, float(scores[row].correct.mean())


def consequences(report: AuditReport) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, saved, computed) of the controls and verdicts that follow from the report's comparisons."""
    policy = report.policy
    compared: dict[str, dict[str, Comparison]] = {model.name: {} for model in report.models}
    for result in report.results:
        if result.measure == policy.measure and result.model in compared:
            compared[result.model][result.population] = result.comparison
    of_role = {role: [m.name for m in report.models if m.role == role] for role in get_args(Role)}
    controls = check_controls(
        policy,
        references={name: compared[name] for name in of_role["reference"] if compared[name]},
        original=compared.get("original"),
        untrained=compared.get("untrained"),
    )
    yield "/controls", report.controls, controls
    for name in {**report.verdicts, **dict.fromkeys(of_role["candidate"])}:
        verdict = decide(policy, compared.get(name, {}), controls=controls)
        yield f"/verdicts/{escaped(name)}", report.verdicts.get(name), verdict


def escaped(key: str) -> str:
    """Return a key as it stands in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _test_set(folder: Path, first: PredictionsFile, num_strata: int) -> _TestSet:
    import pyarrow.parquet as pq

    ledger = pq.read_table(folder / "examples.parquet", columns=["example_id", "stratum"]).to_pydict()
    place = {example_id: row for row, example_id in enumerate(ledger["example_id"])}
    missing = [i for i in first.example_ids if i not in place]
    if missing:
        raise AuditError(f"Expected a ledger of all examples of {first.name}, found none of {str(missing[0])!r}.")
    order = [place[i] for i in first.example_ids]
    return _TestSet(np.asarray(ledger["stratum"])[order], num_strata)


def _comparisons(
    found: Discrepancies, rows_of: dict[str, list[int]], references: Sequence[str], test: _TestSet, policy: Policy
) -> Iterator[tuple[str, Comparison]]:
    for name, rows in rows_of.items():
        pointwise = found.pointwise[rows].mean(axis=0)
        yield name, _compared(found, found.models[rows], found.references, pointwise, found.counts, test, policy)
    if len(references) > 1:
        for k, name in enumerate(references):
            posing, others = pose(found.references, k)
            pointwise, counts = found.pointwise_references[k], found.reference_counts[k]
            yield name, _compared(found, posing, others, pointwise, counts, test, policy)


def _compared(
    found: Discrepancies,
    candidate: np.ndarray,
    references: np.ndarray,
    pointwise: np.ndarray,
    counts: np.ndarray,
    test: _TestSet,
    policy: Policy,
) -> Comparison:
    signed = found.measure.zero_floor
    sampling = None
    if len(references) > 1:
        sampling = sampling_variance(pointwise, found.floor, test.stratum, test.num_strata, signed=signed)
    return compare(
        candidate,
        references,
        counts=counts,
        signed=signed,
        sampling=sampling,
        nearest=policy.nearest,
        tolerance=policy.tolerance,
        alpha=policy.alpha,
    )


def _without_rank(comparison: Comparison | None) -> Comparison | None:
    """Leave out the rank correlation, for which the ledger's proximities are too coarse."""
    if comparison is None or comparison.contrast is None:
        return comparison
    return dataclasses.replace(comparison, contrast=dataclasses.replace(comparison.contrast, spearman=None))
