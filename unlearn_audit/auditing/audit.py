"""From predictions to an `AuditReport`: every model compared with the retrained ones, by neighbourhood."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.auditing.aggregate import aggregate_figures
from unlearn_audit.auditing.comparing import Examples, comparisons
from unlearn_audit.auditing.controls import Controls, check_controls
from unlearn_audit.auditing.discrepancy import Discrepancies, ExampleScores, discrepancies, members_of
from unlearn_audit.auditing.figures import AllFigures
from unlearn_audit.auditing.groups import NEAR_GROUPS, QuestionGroup, question_groups
from unlearn_audit.auditing.judgement import Judgement, judge
from unlearn_audit.auditing.membership import membership_figures
from unlearn_audit.auditing.models import AuditedModel, AuditSubject, populations
from unlearn_audit.auditing.policy import Policy, measure_of_pattern
from unlearn_audit.auditing.report import (
    AuditReport,
    DataRecord,
    ForgetRecord,
    GroupRecord,
    MeasureRecord,
    ModelRecord,
    NeighbourhoodRecord,
    Provenance,
    Result,
    StratumRecord,
)
from unlearn_audit.auditing.summary import html_summary, sentences, stratum_rows
from unlearn_audit.auditing.suspicions import ReferenceFigures, Suspicion, suspicions
from unlearn_audit.auditing.verdict import verdict_of
from unlearn_audit.errors import AuditError
from unlearn_audit.measures import registry as measure_registry
from unlearn_audit.populations import FORGET, POPULATIONS, TEST
from unlearn_audit.predictions import PredictionSource

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from unlearn_audit.measures import Measure
    from unlearn_audit.neighbourhood import Neighbourhood


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """What an audit found: its report, and its ledger with one row an example, as in `examples.parquet`.

    It prints as about three sentences, and a notebook shows its verdicts.
    """

    report: AuditReport
    ledger: pa.Table

    def __repr__(self) -> str:
        return sentences(self.report)

    def _repr_html_(self) -> str:
        return html_summary(self.report)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each model, population and stratum, with the figures by the policy's measure.

        The columns are `model`, `role`, `population`, `stratum` (0 is the nearest), `label`, and the fields of
        `StratumStatistics`: `count`, `discrepancy`, `floor`, `excess`, `ratio`, `lower`, `upper`, `p_value` and others.
        What is undefined is missing. For a row an example, use `ledger.to_pandas()`.
        """
        import pyarrow as pa

        return pa.Table.from_pylist(stratum_rows(self.report)).to_pandas()


def audit_subject(
    subject: AuditSubject,
    neighbourhood: Neighbourhood,
    policy: Policy | None = None,
    *,
    measures: Sequence[str] | None = None,
    title: str = "Unlearning audit",
    provenance: Provenance | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Findings:
    """Audit candidates against retrained models.

    Args:
        subject: the models' predictions and the forget set.
        neighbourhood: proximity and stratum of each example, in the order of the first reference's predictions.
        policy: what the verdict rests on; its measure is among `measures` always.
        measures: names; all by default.
        title: of the report.
        provenance: what made it.
        progress: called with what is done, how many examples are, and how many there are.

    Raises:
        PredictionsError: where predictions do not fit together.
        AuditError: where the forget set does not fit them.
        ConfigurationError: for unknown measures, and a policy's without a noise floor.
    """
    chosen = _measures(measures, policy or Policy())
    policy = dataclasses.replace(policy or Policy(), measure=chosen[0].name)
    subject, copies = _without_copies(subject)
    work = _Work.of(subject, neighbourhood, chosen, progress)
    results = tuple(work.results(policy))
    report = _assemble(work, results, policy, title, provenance or Provenance("", {}), copies)
    return Findings(report, _ledger(work, policy))


def _without_copies(subject: AuditSubject) -> tuple[AuditSubject, tuple[str, ...]]:
    """Leave out references whose weights another one has too, and say so."""
    seen: dict[str, str] = {}
    kept: dict[str, AuditedModel] = {}
    told = []
    for name, model in subject.references.items():
        weights = model.predictions[0].metadata.get("weights_hash", "")
        if weights and weights in seen:
            told.append(
                f"The reference {name!r} has the same weights as {seen[weights]!r} and is left out: "
                "a copy is no second retraining."
            )
        else:
            kept[name] = model
            seen[weights] = name
    return dataclasses.replace(subject, references=kept), tuple(told)


def _measures(names: Sequence[str] | None, policy: Policy) -> list[Measure]:
    """Return the measures by name, each once, the policy's first; all where there are no names."""
    others = [measure_registry.create(name) for name in names or measure_registry.names()]
    return list(dict.fromkeys([measure_of_pattern(policy), *others]))


@dataclass(frozen=True, eq=False)
class _Work:
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
    ) -> _Work:
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
        return [
            Result(name, population, found.measure.name, comparison)
            for found in self.found
            for index, population in enumerate(POPULATIONS)
            for name, comparison in comparisons(
                found, self._examples(index), policy, models=self.rows_of, references=list(self.subject.references)
            )
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
            proximity=self.neighbourhood.proximity[here],
        )


def _assemble(
    work: _Work,
    results: tuple[Result, ...],
    policy: Policy,
    title: str,
    provenance: Provenance,
    copies: tuple[str, ...],
) -> AuditReport:
    subject = work.subject
    found = _suspicions(work, policy)
    judged = _judgements(work, policy)
    controls = _controls(work, policy, judged, found, copies)
    judgements = {
        name: dataclasses.replace(judgement, outcome="inconclusive", withheld=True) if controls.withheld else judgement
        for name, judgement in judged.items()
    }
    references = list(subject.references)
    population = np.asarray(POPULATIONS)[work.population]
    return AuditReport(
        title=title,
        policy=policy,
        data=_data(subject),
        forget_set=_forget(work),
        neighbourhood=_neighbourhood(work.neighbourhood),
        strata=_strata(work),
        measures=tuple(_measure_record(found.measure) for found in work.found),
        models=_model_records(subject),
        results=results,
        aggregate=aggregate_figures(work.scores, population, references=references),
        membership=membership_figures(
            work.scores,
            population,
            references=references,
            models={name: work.extra[name] for name in subject.candidates},
        ),
        verdicts={name: verdict_of(judgements[name], controls.alarms) for name in subject.candidates},
        controls=controls,
        provenance=provenance,
        judgements=judgements,
        groups=tuple(GroupRecord(group.name, group.question, group.count) for group in work.figures.groups),
    )


def _judgements(work: _Work, policy: Policy) -> dict[str, Judgement]:
    """Judge candidates and anchors, by name."""
    unit = work.figures.pattern.measure.unit
    original = work.figures.of_model("original") if work.subject.original is not None else []
    return {
        name: judge(work.figures.of_model(name), policy, unit=unit, original=original if role == "candidate" else ())
        for name, role, _ in work.subject.compared()
    }


def _controls(
    work: _Work,
    policy: Policy,
    judged: dict[str, Judgement],
    found: tuple[Suspicion, ...],
    copies: tuple[str, ...],
) -> Controls:
    names = list(work.subject.references)
    strict = dataclasses.replace(policy, alpha=policy.alpha / len(names))
    posing = {
        name: judge(work.figures.of_reference(k), strict, unit=work.figures.pattern.measure.unit)
        for k, name in enumerate(names if len(names) > 1 else [])
    }
    return check_controls(
        references=posing,
        original=judged.get("original"),
        untrained=judged.get("untrained"),
        suspicions=found,
        notes=copies,
    )


def _suspicions(work: _Work, policy: Policy) -> tuple[Suspicion, ...]:
    """Look at the references before anything is judged by them."""
    subject, figures = work.subject, work.figures
    whole = np.array([group.count for group in figures.groups])
    share = whole / whole.sum()
    asked = slice(-len(figures.groups), None)
    others = {
        name: (figures.pattern.models[list(rows)][:, :, asked] @ share).min(axis=0)
        for name, rows in work.rows_of.items()
        if name != "untrained"
    }
    test = work.population == TEST
    examples = [model.examples for model in subject.references.values()]
    return suspicions(
        ReferenceFigures(
            names=list(subject.references),
            between=np.nan_to_num(figures.pattern.references[:, :, asked]) @ share,
            others=others,
            forget_levels=figures.reference_levels(_forget_group(figures.groups)),
            test_accuracies=np.array([work.scores[name].correct[test].mean() for name in subject.references])
            if test.any()
            else None,
            examples=None if any(e is None for e in examples) else np.array(examples),
        ),
        tolerance=policy.level,
        alpha=policy.alpha,
    )


def _forget_group(groups: Sequence[QuestionGroup]) -> QuestionGroup:
    return next(group for group in groups if group.question == "forgotten")


def _data(subject: AuditSubject) -> DataRecord:
    metadata = subject.first.metadata
    names = subject.class_names or tuple(str(index) for index in range(subject.first.num_classes))
    if len(names) != subject.first.num_classes:
        raise AuditError(f"Expected {subject.first.num_classes} class names, got {len(names)}.")
    return DataRecord(metadata.get("data", "unknown"), metadata.get("data_fingerprint", ""), tuple(names))


def _forget(work: _Work) -> ForgetRecord:
    subject, first = work.subject, work.subject.first
    labels = first.labels[work.population == FORGET]
    names = _data(subject).class_names
    counts = {names[label]: int(count) for label, count in enumerate(np.bincount(labels)) if count}
    return ForgetRecord(len(labels), subject.forget_hash, subject.forget_description, counts)


def _neighbourhood(neighbourhood: Neighbourhood) -> NeighbourhoodRecord:
    config = neighbourhood.config
    return NeighbourhoodRecord(config.proximity, config.embedding, config.strata, neighbourhood.description)


def _strata(work: _Work) -> tuple[StratumRecord, ...]:
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


def _measure_record(measure: Measure) -> MeasureRecord:
    return MeasureRecord(measure.name, measure.title, measure.low, measure.high, measure.unit, measure.zero_floor)


def _model_records(subject: AuditSubject) -> tuple[ModelRecord, ...]:
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


def _ledger(work: _Work, policy: Policy) -> pa.Table:
    """Return one row an example, with columns of its own for each model.

    `near` marks the nearest tenth of the retained and the nearest fifth of the test examples. A model's columns are
    `.top1`, `.confidence` (in the label), `.discrepancy` and `.excess` (by the policy's measure). Candidates and the
    original also have `.remembered`: on the forget set, their confidence minus the references' mean, from -1 to 1; null
    elsewhere.
    """
    import pyarrow as pa

    first, found = work.subject.first, work.found[0]
    near = [group.members for group in work.figures.groups if group.name in NEAR_GROUPS]
    columns: dict[str, Any] = {
        "example_id": first.example_ids.tolist(),
        "split": first.splits.tolist(),
        "population": np.asarray(POPULATIONS)[work.population].tolist(),
        "label": first.labels,
        "proximity": np.asarray(work.neighbourhood.proximity, dtype=np.float32),
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
    expected = np.mean([work.scores[name].confidence for name in work.subject.references], axis=0, dtype=np.float64)
    for name in (*work.subject.candidates, *(["original"] if work.subject.original is not None else [])):
        remembered = work.scores[name].confidence - expected
        columns[f"{name}.remembered"] = pa.array(remembered.astype(np.float32), mask=work.population != FORGET)
    return pa.table(columns).replace_schema_metadata({"measure": policy.measure})
