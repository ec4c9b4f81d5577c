"""Compute again what a published folder lets anyone check: every figure on the test set, and what follows from figures.

Such a folder holds predictions on test examples alone, because rows of training examples would tell who was forgotten.
Strata come from its ledger. Controls and verdicts follow from the report's own comparisons, whatever those rest on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.auditing.comparing import Examples, comparisons
from unlearn_audit.auditing.discrepancy import discrepancies, members_of
from unlearn_audit.auditing.judgement import judged_again
from unlearn_audit.auditing.policy import FirstPolicy
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.auditing.statistics import Comparison
from unlearn_audit.auditing.verdict import verdict_of
from unlearn_audit.errors import AuditError
from unlearn_audit.measures import registry
from unlearn_audit.populations import POPULATIONS, TEST
from unlearn_audit.predictions import PredictionSource, open_predictions
from unlearn_audit.saved.request import AuditRequest

FIRST_VERSION = "This report was judged by the first version, whose figures are not computed any more."


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
    if isinstance(report.policy, FirstPolicy):
        raise AuditError(FIRST_VERSION)
    folder = Path(folder)
    rows_of: dict[str, list[int]] = {}
    sources: list[PredictionSource] = []
    for name, _, files in request.compared():
        rows_of[name] = list(range(len(sources), len(sources) + len(files.predictions)))
        sources += [open_predictions(folder / path) for path in files.predictions]
    kept = {model.name for model in report.by_role("reference")}  # without copies, which were left out
    names = [name for name in request.references if name in kept]
    if not names:
        raise AuditError("The report names none of the retrained models whose predictions are here.")
    references = [open_predictions(folder / request.references[name].predictions[0]) for name in names]
    test = _test_examples(folder, references[0], len(report.strata))
    measures = [registry.create(measure.name) for measure in report.measures]
    found, scores = discrepancies(sources, references, members_of(test.stratum, test.num_strata), measures)
    place = {(r.model, r.population, r.measure): index for index, r in enumerate(report.results)}
    for discrepancy in found:
        for name, comparison in comparisons(discrepancy, test, report.policy, models=rows_of, references=names):
            measure = discrepancy.measure.name
            where = place.get((name, "test", measure), f"{name}, test, {measure}: absent")
            saved = report.comparison(name, "test", measure)
            yield f"/results/{where}/comparison", _without_rank(saved), comparison
    first_rows = {name: rows[0] for name, rows in rows_of.items()}
    first_rows |= {name: len(sources) + k for k, name in enumerate(names)}
    for name, row in first_rows.items():
        figures = report.aggregate.get(name)
        accuracy = None if figures is None else figures.test_accuracy
        yield f"/aggregate/{escaped(name)}/test_accuracy", accuracy, float(scores[row].correct.mean())


def consequences(report: AuditReport) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, saved, computed) of the judgements and verdicts that follow from the report's findings."""
    if isinstance(report.policy, FirstPolicy):
        return
    unit = next(m.unit for m in report.measures if m.name == report.policy.measure)
    alarms = report.controls.alarms if report.controls else ()
    for name, judgement in report.judgements.items():
        found = dataclasses.replace(judgement, num_references=report.num_references, withheld=bool(alarms))
        yield f"/judgements/{escaped(name)}", judgement, judged_again(found, report.policy, unit)
    for model in report.by_role("candidate"):
        known = report.judgements.get(model.name)
        verdict = None if known is None else verdict_of(known, alarms)
        yield f"/verdicts/{escaped(model.name)}", report.verdicts.get(model.name), verdict


def escaped(key: str) -> str:
    """Return a key as it stands in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _test_examples(folder: Path, first: PredictionSource, num_strata: int) -> Examples:
    """Return all examples of a published model's predictions, in their order, with the strata that the ledger names."""
    import pyarrow.parquet as pq

    ledger = pq.read_table(folder / "examples.parquet", columns=["example_id", "stratum"]).to_pydict()
    place = {example_id: row for row, example_id in enumerate(ledger["example_id"])}
    missing = [i for i in first.example_ids if i not in place]
    if missing:
        raise AuditError(f"Expected a ledger of all examples of {first.name}, found none of {str(missing[0])!r}.")
    stratum = np.asarray(ledger["stratum"])[[place[i] for i in first.example_ids]]
    return Examples(POPULATIONS[TEST], np.ones(len(stratum), bool), slice(None), stratum, num_strata)


def _without_rank(comparison: Comparison | None) -> Comparison | None:
    """Leave out the rank correlation, for which the ledger's proximities are too coarse."""
    if comparison is None or comparison.contrast is None:
        return comparison
    return dataclasses.replace(comparison, contrast=dataclasses.replace(comparison.contrast, spearman=None))
