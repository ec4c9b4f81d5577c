"""The report, the ledger and the predictions of an audit with nothing in them that tells who was forgotten.

Left out is what names the forget set (ids, the words that it was described with, which may hold a seed or the name of a
file, and every seed), what it can be solved for from (proximities, nearest ids, edges of strata, rows of training
examples), and what confirms a guess (its hash without a salt). Figures that rest on training examples keep three
digits, as people read them, and those of strata with few forgotten examples are left out. Where test examples lie is
told by stratum, and by whether they are among the nearest fifth, of which the questions are asked.

Strata are coarse enough where the forget set is not small. Solving for which examples of a class were forgotten, from
the embeddings of the original and the strata of 360 test examples of digits, finds no more than drawing lots does where
half the class was forgotten, and 1.6 times as many where 30 of 139 were; a single one it finds always.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from unlearn_audit.auditing.aggregate import AggregateFigures
from unlearn_audit.auditing.groups import TEST_GROUPS
from unlearn_audit.auditing.judgement import Judgement
from unlearn_audit.auditing.report import AuditReport, ForgetRecord, ModelRecord, Provenance, Result
from unlearn_audit.auditing.statistics import MIN_COUNT, Comparison, StratumStatistics
from unlearn_audit.populations import FORGET, POPULATIONS, TEST
from unlearn_audit.predictions import open_predictions
from unlearn_audit.predictions.names import Names
from unlearn_audit.predictions.parquet import write_parquet
from unlearn_audit.saved.published import concluded

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

FEWEST_DIGITS = 3  # as many as people are shown
MOST_DIGITS = 17  # which tell a float exactly
LEAST_FORGOTTEN = 30  # of fewer examples, strata and means tell which they are
LEDGER = ("example_id", "split", "population", "label", "stratum", "near", "floor")
OF_MODELS = ("top1", "confidence", "discrepancy", "excess")
METADATA = (
    "model_id",
    "weights_hash",
    "data",
    "data_fingerprint",
    "preprocessing",
    "precision",
    "versions",
    "training",
)
_CHUNK = 16_384  # rows of logits held at a time


def too_few(forget: ForgetRecord) -> bool:
    """Tell whether the forget set is so small that figures on it tell which examples it holds."""
    return forget.size < LEAST_FORGOTTEN


def public_report(report: AuditReport, *, title: str, commitment: str) -> AuditReport:
    """Return the report as it may be published, with the judgements that follow from what is left of its figures.

    Args:
        report: one whose judgements and verdicts follow from its findings.
        title: in the place of its own.
        commitment: the salted hash of the forget set.
    """
    named = dataclasses.replace(
        report,
        title=title,
        forget_set=dataclasses.replace(
            report.forget_set, hash=commitment, salted=True, description=_described(report.forget_set)
        ),
        strata=tuple(dataclasses.replace(stratum, lower=None, upper=None) for stratum in report.strata),
        models=tuple(_public_model(model) for model in report.models),
        results=tuple(_public_result(result) for result in report.results),
        aggregate={name: _public_aggregate(figures) for name, figures in report.aggregate.items()},
        membership=rounded(report.membership),
        provenance=Provenance(
            report.provenance.created,
            report.provenance.versions,
            seconds=report.provenance.seconds,
            seal=report.provenance.seal,
        ),
    )
    return _judged_by_rounded_findings(named)


def _described(forget: ForgetRecord) -> str:
    """Describe the forget set by its classes alone: other words may name people, or tell how to draw it again."""
    classes = [name for name, count in forget.class_counts.items() if count]
    return f"training examples of {f'class {classes[0]}' if len(classes) == 1 else f'{len(classes)} classes'}"


def _public_model(model: ModelRecord) -> ModelRecord:
    return dataclasses.replace(model, model_id=without_folders(model.model_id), seed=None)


def without_folders(path: str) -> str:
    """Return the last part of a path, or of a Hub id: a path of this machine may tell more than the model's name."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _public_result(result: Result) -> Result:
    comparison = _without_rank(result.comparison)
    if result.population == POPULATIONS[TEST]:
        return dataclasses.replace(result, comparison=comparison)
    if result.population == POPULATIONS[FORGET]:
        comparison = dataclasses.replace(
            comparison,
            strata=tuple(_unless_few(stratum) for stratum in comparison.strata),
            nearest=_unless_few(comparison.nearest),
        )
    return dataclasses.replace(result, comparison=rounded(comparison))


def _without_rank(comparison: Comparison) -> Comparison:
    """Leave out the rank correlation with proximities, which are not published."""
    if comparison.contrast is None:
        return comparison
    return dataclasses.replace(comparison, contrast=dataclasses.replace(comparison.contrast, spearman=None))


def _unless_few(stratum: StratumStatistics) -> StratumStatistics:
    """Leave only the count of a stratum of few forgotten examples."""
    return stratum if stratum.count >= MIN_COUNT else StratumStatistics(stratum.count, takes_part=False)


def _public_aggregate(figures: AggregateFigures) -> AggregateFigures:
    return dataclasses.replace(rounded(figures), test_accuracy=figures.test_accuracy)


def _judged_by_rounded_findings(report: AuditReport) -> AuditReport:
    """Return the report judged by findings of as few digits as leave every answer what it is."""
    tried = (
        concluded(dataclasses.replace(report, judgements=_with_digits(report.judgements, digits)))
        for digits in range(FEWEST_DIGITS, MOST_DIGITS + 1)
    )
    return next(found for found in tried if _outcomes(found) == _outcomes(report))


def _with_digits(judgements: Mapping[str, Judgement], digits: int) -> dict[str, Judgement]:
    return {name: _rounded_judgement(judgement, digits) for name, judgement in judgements.items()}


def _rounded_judgement(judgement: Judgement, digits: int) -> Judgement:
    """Round what rests on training examples; what rests on test examples is computed again by who verifies it."""
    answers = tuple(
        dataclasses.replace(
            answer,
            findings=tuple(f if f.group in TEST_GROUPS else rounded(f, digits) for f in answer.findings),
        )
        for answer in judgement.answers
    )
    shares = {name: rounded(getattr(judgement, name), digits) for name in ("level_gone", "pattern_gone")}
    return dataclasses.replace(judgement, answers=answers, **shares)


def _outcomes(report: AuditReport) -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        name: tuple((answer.outcome, answer.how) for answer in judgement.answers)
        for name, judgement in report.judgements.items()
    }


def rounded(value: T, digits: int = FEWEST_DIGITS) -> T:
    """Return a value with every float in it rounded to significant digits."""
    found: Any = value
    if isinstance(value, float):
        found = float(f"{value:.{digits - 1}e}")
    elif isinstance(value, tuple):
        found = tuple(rounded(item, digits) for item in value)
    elif isinstance(value, dict):
        found = {key: rounded(item, digits) for key, item in value.items()}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        found = dataclasses.replace(value, **{f.name: rounded(getattr(value, f.name), digits) for f in fields})
    return found


def public_rows(ledger: pa.Table, models: Iterable[str]) -> pa.Table:
    """Return the ledger's rows of test examples, in the columns that may be published."""
    import pyarrow.compute as pc

    kept = [*LEDGER, *(f"{name}.{what}" for name in models for what in OF_MODELS)]
    rows = ledger.filter(pc.equal(ledger["population"], POPULATIONS[TEST]))
    measure = (ledger.schema.metadata or {}).get(b"measure", b"")
    return rows.select([name for name in kept if name in rows.column_names]).replace_schema_metadata(
        {"measure": measure}
    )


def write_test_predictions(source_path: Path | str, path: Path, names: Names) -> None:
    """Write the test rows of a file of predictions, in whatever format and names, as Parquet without embeddings.

    Raises:
        PredictionsError: where it cannot be read.
    """
    source = open_predictions(source_path, names)
    test = source.splits == POPULATIONS[TEST]
    chunks = []
    start = 0
    for logits in source.logit_chunks(_CHUNK):
        chunks.append(logits[test[start : start + len(logits)]])
        start += len(logits)
    metadata = {name: source.metadata[name] for name in METADATA if name in source.metadata}
    if "model_id" in metadata:
        metadata["model_id"] = without_folders(metadata["model_id"])
    write_parquet(
        path,
        example_ids=source.example_ids[test],
        splits=source.splits[test],
        labels=source.labels[test],
        logits=np.concatenate(chunks),
        embeddings=None,
        metadata=metadata,
    )
