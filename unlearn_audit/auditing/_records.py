"""What a report states beside its figures: data, forget set, neighbourhood, strata, measures and models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unlearn_audit.auditing._work import Work
from unlearn_audit.auditing.models import AuditSubject
from unlearn_audit.auditing.report import (
    DataRecord,
    ForgetRecord,
    MeasureRecord,
    ModelRecord,
    NeighbourhoodRecord,
    StratumRecord,
)
from unlearn_audit.errors import AuditError
from unlearn_audit.measures import Measure
from unlearn_audit.neighbourhood import Neighbourhood
from unlearn_audit.populations import FORGET, POPULATIONS


def data_record(subject: AuditSubject) -> DataRecord:
    """Return what the predictions say of their data; raises `AuditError` where class names do not fit the outputs."""
    metadata = subject.first.metadata
    names = subject.class_names or tuple(str(index) for index in range(subject.first.num_classes))
    if len(names) != subject.first.num_classes:
        raise AuditError(f"Expected {subject.first.num_classes} class names, got {len(names)}.")
    return DataRecord(metadata.get("data", "unknown"), metadata.get("data_fingerprint", ""), tuple(names))


def forget_record(work: Work) -> ForgetRecord:
    """Return the size of the forget set, its hash, and how many examples of each class it holds."""
    subject, first = work.subject, work.subject.first
    labels = first.labels[work.population == FORGET]
    names = data_record(subject).class_names
    counts = {names[label]: int(count) for label, count in enumerate(np.bincount(labels)) if count}
    return ForgetRecord(len(labels), subject.forget_hash, subject.forget_description, counts)


def neighbourhood_record(neighbourhood: Neighbourhood) -> NeighbourhoodRecord:
    """Return how proximities and strata were made."""
    config, known = neighbourhood.config, neighbourhood.proximity is not None
    proximity = config.proximity if neighbourhood.embedding else ("given by the user" if known else "none")
    return NeighbourhoodRecord(proximity, neighbourhood.embedding or "none", config.strata, neighbourhood.description)


def stratum_records(work: Work) -> tuple[StratumRecord, ...]:
    """Return the strata, nearest first, with the number of examples of each population."""
    return tuple(
        StratumRecord(
            index=stratum.index,
            label=stratum.label,
            lower=stratum.lower,
            upper=stratum.upper,
            counts={name: int(work.counts[p, stratum.index]) for p, name in enumerate(POPULATIONS)},
        )
        for stratum in work.neighbourhood.strata
    )


def measure_record(measure: Measure) -> MeasureRecord:
    """Return the name, range and unit of a measure."""
    return MeasureRecord(measure.name, measure.title, measure.low, measure.high, measure.unit, measure.zero_floor)


def model_records(subject: AuditSubject) -> tuple[ModelRecord, ...]:
    """Return each model's role, hash, seed and cost; costs also as a share of a retraining's mean."""
    retraining = list(subject.references.values())
    seconds = _mean([m.seconds for m in retraining])
    examples = _mean([m.examples for m in retraining])
    return tuple(
        ModelRecord(
            name=name,
            role=role,
            model_id=model.predictions[0].metadata.get("model_id", model.predictions[0].name),
            weights_hash=model.predictions[0].metadata.get("weights_hash", ""),
            method=model.method,
            seed=model.seed,
            seconds=model.seconds,
            examples=model.examples,
            seconds_share=_share(model.seconds, seconds),
            examples_share=_share(model.examples, examples),
        )
        for name, role, model in subject.items()
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _share(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else value / whole
