"""The card's metadata, as the Hub reads it: `ModelCardData` with `model-index`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.briefly import WORDS, answer_word
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.reporting.charting import primary_population
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.sections.verdicts import has_verdict

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

    from unlearn_audit.auditing.report import AuditReport, ModelRecord

METRICS: dict[Question, str] = {
    "forgotten": "forgotten",
    "neighbours": "neighbours_unharmed",
    "rest": "everything_else_unharmed",
}
TAGS = ("unlearn-audit", "machine-unlearning", "arxiv:2605.31317")


@dataclass(frozen=True)
class Metric:
    """A result in the words of the Hub: its kind, its title with K, its value, and the split that it rests on."""

    kind: str
    title: str
    value: float | str
    split: str


def metrics_of(report: AuditReport, model: ModelRecord, *, figures: bool = True) -> tuple[Metric, ...]:
    """Return accuracy and answers of a model, and its excess nearest to the forget set.

    Without `figures`, nothing that rests on who was forgotten but yes, no or not settled.
    """
    return (*_accuracy(report, model), *(_nearest(report, model) if figures else ()), *_answers(report, model, figures))


def _accuracy(report: AuditReport, model: ModelRecord) -> tuple[Metric, ...]:
    found = report.aggregate.get(model.name)
    if found is None or found.test_accuracy is None:
        return ()
    return (Metric("accuracy", "accuracy", round(found.test_accuracy, 6), "test"),)


def _nearest(report: AuditReport, model: ModelRecord) -> tuple[Metric, ...]:
    population, measure = primary_population(report), report.policy.measure
    found = report.comparison(model.name, population, measure)
    if found is None or found.strata[0].excess is None:
        return ()
    title = f"excess {measure} in the nearest stratum, {population} set, K = {report.num_references}"
    split = "test" if population == "test" else "train"
    return (Metric(f"excess_{measure}", title, round(found.strata[0].excess, 6), split),)


def _answers(report: AuditReport, model: ModelRecord, figures: bool) -> tuple[Metric, ...]:
    """Return the answers, each in words with its K; none where the audit gives no verdict."""
    judgement = report.judgements.get(model.name)
    if judgement is None or not has_verdict(report, model.name):
        return ()
    return tuple(
        Metric(
            METRICS[answer.question],
            f"{TITLES[answer.question].lower()} K = {judgement.num_references}",
            answer_word(answer) if figures else WORDS[answer.outcome],
            "train" if answer.question == "forgotten" else "train+test",
        )
        for answer in judgement.answers
    )


def card_data(
    report: AuditReport,
    model: ModelRecord,
    repo_id: str,
    choices: PublishChoices,
    *,
    relation: str = "finetune",
    figures: bool = True,
) -> ModelCardData:
    """Return the card's metadata; `relation` is the weights' to the base model."""
    from huggingface_hub import ModelCardData

    datasets = audited_datasets(report, choices)
    more: dict[str, Any] = {"base_model_relation": relation} if choices.base_model else {}
    more |= {"new_version": choices.new_version} if choices.new_version else {}
    named = (datasets or [report.data.name])[0]
    return ModelCardData(
        model_name=repo_id.split("/")[-1],
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=list(dict.fromkeys((*TAGS, *choices.tags))),
        datasets=datasets or None,
        base_model=choices.base_model or None,
        license=choices.license or None,
        license_name=choices.license_name,
        license_link=choices.license_link,
        metrics=["accuracy"],
        eval_results=[_eval_result(report, named, m) for m in metrics_of(report, model, figures=figures)] or None,
        **more,
    )


def audited_datasets(report: AuditReport, choices: PublishChoices) -> list[str]:
    """Return the Hub ids of the data: those that are chosen, or the audited data set's name where it is one."""
    if choices.datasets:
        return list(choices.datasets)
    return [report.data.name] if report.data.name.count("/") == 1 else []


def _eval_result(report: AuditReport, dataset: str, metric: Metric) -> EvalResult:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="image-classification",
        dataset_type=dataset,
        dataset_name=report.data.name,
        dataset_split=metric.split,
        metric_type=metric.kind,
        metric_name=metric.title,
        metric_value=metric.value,
    )
