"""From predictions to an `AuditReport`: every model compared with the retrained ones, by neighbourhood."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.auditing._ledger import ledger_of
from unlearn_audit.auditing._records import (
    data_record,
    forget_record,
    measure_record,
    model_records,
    neighbourhood_record,
    stratum_records,
)
from unlearn_audit.auditing._work import Work
from unlearn_audit.auditing.aggregate import aggregate_figures
from unlearn_audit.auditing.controls import Controls, check_controls, posing_alpha
from unlearn_audit.auditing.groups import QuestionGroup
from unlearn_audit.auditing.judgement import Judgement, judge
from unlearn_audit.auditing.membership import membership_figures
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.policy import Policy, measure_of_pattern
from unlearn_audit.auditing.report import (
    AuditReport,
    GroupRecord,
    Provenance,
    Result,
)
from unlearn_audit.auditing.summary import html_summary, sentences, stratum_rows
from unlearn_audit.auditing.suspicions import ReferenceFigures, Suspicion, suspicions
from unlearn_audit.auditing.trainings import training_notes
from unlearn_audit.auditing.verdict import verdict_of
from unlearn_audit.measures import registry as measure_registry
from unlearn_audit.names import checked_text
from unlearn_audit.populations import POPULATIONS, TEST
from unlearn_audit.predictions.checks import normalised

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
        ConfigurationError: for unknown measures, a policy's without a noise floor, and names that no file can hold.
    """
    _check_texts(subject, title)
    chosen = _measures(measures, policy or Policy())
    policy = dataclasses.replace(policy or Policy(), measure=chosen[0].name)
    subject, copies = _without_copies(subject)
    work = Work.of(subject, neighbourhood, chosen, progress)
    results = tuple(work.results(policy))
    read = ((name, source) for name, _, model in subject.items() for source in model.predictions)
    notes = (*copies, *training_notes(subject), *normalised(read))
    report = _assemble(work, results, policy, title, provenance or Provenance("", {}), notes)
    return Findings(report, ledger_of(work, policy))


def _check_texts(subject: AuditSubject, title: str) -> None:
    for name, _, _ in subject.items():
        checked_text(name, "a model's name")
    checked_text(title, "a title")
    checked_text(subject.forget_description, "a description of the forget set", printable=False)
    for name in subject.class_names:
        checked_text(name, "a class's name", printable=False)


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


def _assemble(
    work: Work,
    results: tuple[Result, ...],
    policy: Policy,
    title: str,
    provenance: Provenance,
    notes: tuple[str, ...],
) -> AuditReport:
    subject = work.subject
    found = _suspicions(work, policy)
    judged = _judgements(work, policy)
    controls = _controls(work, policy, judged, found, notes)
    judgements = {
        name: dataclasses.replace(judgement, outcome="inconclusive", withheld=True) if controls.withheld else judgement
        for name, judgement in judged.items()
    }
    references = list(subject.references)
    population = np.asarray(POPULATIONS)[work.population]
    return AuditReport(
        title=title,
        policy=policy,
        data=data_record(subject),
        forget_set=forget_record(work),
        neighbourhood=neighbourhood_record(work.neighbourhood),
        strata=stratum_records(work),
        measures=tuple(measure_record(found.measure) for found in work.found),
        models=model_records(subject),
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


def _judgements(work: Work, policy: Policy) -> dict[str, Judgement]:
    """Judge candidates and anchors, by name."""
    unit = work.figures.pattern.measure.unit
    original = work.figures.of_model("original") if work.subject.original is not None else []
    return {
        name: judge(work.figures.of_model(name), policy, unit=unit, original=original if role == "candidate" else ())
        for name, role, _ in work.subject.compared()
    }


def _controls(
    work: Work,
    policy: Policy,
    judged: dict[str, Judgement],
    found: tuple[Suspicion, ...],
    notes: tuple[str, ...],
) -> Controls:
    names = list(work.subject.references)
    strict = dataclasses.replace(policy, alpha=posing_alpha(policy.alpha, len(names)))
    posing = {
        name: judge(work.figures.of_reference(k), strict, unit=work.figures.pattern.measure.unit)
        for k, name in enumerate(names if len(names) > 1 else [])
    }
    return check_controls(
        references=posing,
        original=judged.get("original"),
        untrained=judged.get("untrained"),
        suspicions=found,
        notes=notes,
    )


def _suspicions(work: Work, policy: Policy) -> tuple[Suspicion, ...]:
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
