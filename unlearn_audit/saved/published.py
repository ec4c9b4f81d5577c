"""Compute again what a published folder lets anyone check: every figure on the test set, and what follows from figures.

Such a folder holds predictions on test examples alone, because rows of training examples would tell who was forgotten.
Which stratum these are of, and which are near, comes from its ledger. Judgements and verdicts follow from the report's
own findings, whatever those rest on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.auditing.comparing import Examples, comparisons
from unlearn_audit.auditing.discrepancy import Discrepancies, ExampleScores, discrepancies, members_of
from unlearn_audit.auditing.figures import AllFigures
from unlearn_audit.auditing.groups import TEST_GROUPS, QuestionGroup
from unlearn_audit.auditing.judgement import judged_again
from unlearn_audit.auditing.policy import FirstPolicy, Policy
from unlearn_audit.auditing.questions import Answer, Finding, answer_questions
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.auditing.verdict import verdict_of
from unlearn_audit.bounded import read_parquet
from unlearn_audit.errors import AuditError
from unlearn_audit.measures import registry
from unlearn_audit.populations import POPULATIONS, TEST
from unlearn_audit.predictions import PredictionSource, open_predictions
from unlearn_audit.saved.request import AuditRequest

TOP1 = "disagreement"  # the measure by which findings tell decisions apart
FIRST_VERSION = "This report was judged by the first version, whose figures are not computed any more."


def recomputed_test_figures(
    folder: str | Path, report: AuditReport, request: AuditRequest
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, saved, computed) of every comparison, accuracy and finding that rests on the test set alone.

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
    if not any(stratum.counts.get(POPULATIONS[TEST]) for stratum in report.strata):
        return
    work = _TestSet.of(Path(folder), report, report.policy, request)
    yield from work.weights()
    yield from work.comparisons()
    yield from work.accuracies()
    yield from work.findings()


@dataclass(frozen=True, eq=False)
class _TestSet:
    """What is computed again from a published audit's predictions: M models, then K references."""

    report: AuditReport
    policy: Policy
    rows_of: dict[str, list[int]]  # models that are compared: rows among the M
    references: list[str]
    sources: list[PredictionSource]  # M, then K
    examples: Examples
    groups: tuple[QuestionGroup, ...]
    found: list[Discrepancies]  # by the report's measures, and last by the top-1 class
    scores: list[ExampleScores]  # M, then K

    @classmethod
    def of(cls, folder: Path, report: AuditReport, policy: Policy, request: AuditRequest) -> _TestSet:
        rows_of: dict[str, list[int]] = {}
        models: list[PredictionSource] = []
        for name, _, files in request.compared():
            rows_of[name] = list(range(len(models), len(models) + len(files.predictions)))
            models += [open_predictions(folder / path, request.names) for path in files.predictions]
        kept = {model.name for model in report.by_role("reference")}  # without copies, which were left out
        names = [name for name in request.references if name in kept]
        if not names:
            raise AuditError("The report names none of the retrained models whose predictions are here.")
        references = [
            open_predictions(folder / request.references[name].predictions[0], request.names) for name in names
        ]
        examples, groups = _test_examples(folder, references[0], report)
        members = members_of(examples.stratum, examples.num_strata)
        members = np.column_stack([members, *(group.members for group in groups)])
        measures = [registry.create(name) for name in (*(m.name for m in report.measures), TOP1)]
        found, scores = discrepancies(models, references, members, measures)
        return cls(report, policy, rows_of, names, [*models, *references], examples, groups, found, scores)

    def first_rows(self) -> dict[str, int]:
        """Return for each model, references too, which of the sources is its first."""
        first = {name: rows[0] for name, rows in self.rows_of.items()}
        total = sum(map(len, self.rows_of.values()))
        return first | {name: total + k for k, name in enumerate(self.references)}

    def weights(self) -> Iterator[tuple[str, Any, Any]]:
        """Compare the weights that the report names with those that the predictions name."""
        place = {model.name: index for index, model in enumerate(self.report.models)}
        for name, row in self.first_rows().items():
            computed = self.sources[row].metadata.get("weights_hash", "")
            if name in place:
                saved = self.report.models[place[name]].weights_hash
                yield f"/models/{place[name]}/weights_hash", saved, computed

    def comparisons(self) -> Iterator[tuple[str, Any, Any]]:
        """Compare every comparison with the references, stratum by stratum."""
        report = self.report
        place = {(r.model, r.population, r.measure): index for index, r in enumerate(report.results)}
        for found in self.found[:-1]:
            measure = found.measure.name
            compared = comparisons(found, self.examples, self.policy, models=self.rows_of, references=self.references)
            for name, comparison in compared:
                where = place.get((name, POPULATIONS[TEST], measure), f"{name}, test, {measure}: absent")
                yield f"/results/{where}/comparison", report.comparison(name, POPULATIONS[TEST], measure), comparison

    def accuracies(self) -> Iterator[tuple[str, Any, Any]]:
        """Compare the accuracies."""
        for name, row in self.first_rows().items():
            figures = self.report.aggregate.get(name)
            accuracy = None if figures is None else figures.test_accuracy
            yield f"/aggregate/{escaped(name)}/test_accuracy", accuracy, float(self.scores[row].correct.mean())

    def findings(self) -> Iterator[tuple[str, Any, Any]]:
        """Compare the findings on groups of test examples, in all that does not rest on other groups too."""
        for index, record in enumerate(self.report.groups):
            counted = next((group.count for group in self.groups if group.name == record.name), None)
            if record.name in TEST_GROUPS:
                yield f"/groups/{index}/count", record.count, counted
        figures = AllFigures(
            groups=self.groups,
            pattern=next(f for f in self.found if f.measure.name == self.policy.measure),
            top1=self.found[-1],
            models={name: [self.scores[row] for row in rows] for name, rows in self.rows_of.items()},
            rows=self.rows_of,
            references={name: self.scores[self.first_rows()[name]] for name in self.references},
        )
        for name in self.rows_of:
            computed = _by_group(answer_questions(figures.of_model(name), self.policy, advise=False))
            judgement = self.report.judgements.get(name)
            for i, answer in enumerate(judgement.answers if judgement else ()):
                for j, saved in enumerate(answer.findings):
                    if saved.group in TEST_GROUPS:
                        again = computed.get((saved.group, saved.kind))
                        where = f"/judgements/{escaped(name)}/answers/{i}/findings/{j}"
                        yield where, _on_its_own(saved), None if again is None else _on_its_own(again)


def _by_group(answers: Sequence[Answer]) -> dict[tuple[str, str], Finding]:
    return {(finding.group, finding.kind): finding for answer in answers for finding in answer.findings}


def _on_its_own(finding: Finding) -> dict[str, Any]:
    """Return what of a finding rests on its own group: its bounds rest on the spread in all groups."""
    names = ("count", "value", "expected", "difference", "disagreement", "reference_disagreement")
    return {name: getattr(finding, name) for name in names}


def concluded(report: AuditReport) -> AuditReport:
    """Return the report with the judgements and verdicts that follow from its findings and controls."""
    if isinstance(report.policy, FirstPolicy):
        raise AuditError(FIRST_VERSION)
    unit = next(m.unit for m in report.measures if m.name == report.policy.measure)
    alarms = report.controls.alarms if report.controls else ()
    judgements = {}
    for name, judgement in report.judgements.items():
        found = dataclasses.replace(judgement, num_references=report.num_references, withheld=bool(alarms))
        judgements[name] = judged_again(found, report.policy, unit)
    candidates = [model.name for model in report.by_role("candidate") if model.name in judgements]
    verdicts = {name: verdict_of(judgements[name], alarms) for name in candidates}
    return dataclasses.replace(report, judgements=judgements, verdicts=verdicts)


def consequences(report: AuditReport) -> Iterator[tuple[str, Any, Any]]:
    """Yield (JSON pointer, saved, computed) of the judgements and verdicts that follow from the report's findings."""
    computed = concluded(report)
    for name, judgement in report.judgements.items():
        yield f"/judgements/{escaped(name)}", judgement, computed.judgements[name]
    for model in report.by_role("candidate"):
        found, saved = (each.verdicts.get(model.name) for each in (computed, report))
        yield f"/verdicts/{escaped(model.name)}", saved, found


def escaped(key: str) -> str:
    """Return a key as it stands in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _test_examples(
    folder: Path, first: PredictionSource, report: AuditReport
) -> tuple[Examples, tuple[QuestionGroup, ...]]:
    """Return all examples of a published model's predictions, in their order, with strata and groups by the ledger."""
    import pyarrow as pa

    try:
        ledger = read_parquet(folder / "examples.parquet", ["example_id", "stratum", "near"]).to_pydict()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise AuditError(f"Expected the ledger examples.parquet, which can be read: {error}") from error
    place = {example_id: row for row, example_id in enumerate(ledger["example_id"])}
    missing = [i for i in first.example_ids if i not in place]
    if missing:
        raise AuditError(f"Expected a ledger of all examples of {first.name}, found none of {str(missing[0])!r}.")
    rows = [place[i] for i in first.example_ids]
    stratum, near = np.asarray(ledger["stratum"])[rows], np.asarray(ledger["near"])[rows]
    strata = len(report.strata)
    examples = Examples(POPULATIONS[TEST], np.ones(len(rows), bool), slice(0, strata), stratum, strata)
    by_class = any(group.name == "same_class_test" for group in report.groups)
    neighbours = QuestionGroup("same_class_test" if by_class else "near_test", "neighbours", near)
    groups = (neighbours, QuestionGroup("other_test", "rest", ~near))
    return examples, tuple(group for group in groups if group.count)
