"""The model card: a README.md with metadata as the Hub reads it, and the verdict in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.briefly import answer_word
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.sentences import TITLES
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.files import write_text
from unlearn_audit.reporting.charting import primary_population
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.sections.limits import limits_of
from unlearn_audit.reporting.sections.provenance import subject_facts
from unlearn_audit.reporting.sections.strata import strata_table
from unlearn_audit.reporting.sections.verdicts import alarms, has_verdict, policy_sentence, shown_verdict
from unlearn_audit.reporting.tables import Group, Table, escape_markdown, markdown, whole
from unlearn_audit.reporting.templating import environment

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

    from unlearn_audit.auditing.report import AuditReport, ModelRecord

WITHHELD = (
    "The forget set itself is not published, only its size, its classes and a salted hash, and neither are proximities "
    "and predictions on training examples, from which it could be told. What can be checked: every file's hash, that "
    "the weights are those that were audited, all figures on the test set, and that the answers follow from findings."
)
PUBLISHED_WHOLE = "The ids of the forget set are published too: every figure can be recomputed."
DEFAULTS = PublishChoices()
METRICS: dict[Question, str] = {
    "forgotten": "forgotten",
    "neighbours": "neighbours_unharmed",
    "rest": "everything_else_unharmed",
}
CARD_COLUMNS = ("stratum", "examples", "discrepancy", "noise floor", "ratio", "excess")


def write_card(
    report: AuditReport,
    path: str | Path,
    *,
    repo_id: str,
    choices: PublishChoices = DEFAULTS,
    custom_architecture: bool = True,
) -> Path:
    """Write the card of one candidate, and return its path.

    Args:
        report: the audit.
        path: of the file, usually README.md.
        repo_id: where the model will be, as `user/name`.
        choices: which candidate, what is published with it, and what goes into the metadata.
        custom_architecture: whether the architecture is one that `import unlearn_audit.models` registers with timm; by
            default the card imports it, which is right for every model.
    """
    write_text(path, card_text(report, repo_id=repo_id, choices=choices, custom_architecture=custom_architecture))
    return Path(path)


def card_text(
    report: AuditReport, *, repo_id: str, choices: PublishChoices = DEFAULTS, custom_architecture: bool = True
) -> str:
    """Return the text of the card, metadata first; the arguments are those of `write_card`."""
    model = find_candidate(report, choices.candidate)
    templates = environment(escape=False)
    templates.filters["md"] = escape_markdown
    templates.filters["code"] = _code
    return templates.get_template("card.md.j2").render(
        metadata=card_data(report, model, repo_id, choices).to_yaml().strip(),
        name=repo_id.split("/")[-1],
        verdict=shown_verdict(report, model),
        forget_set=escape_markdown(_forget_set(report)),
        method=model.method or model.name,
        num_references=report.num_references,
        alarms=alarms(report),
        policy=policy_sentence(report),
        strata=markdown(_strata(report, model)),
        custom_architecture=custom_architecture,
        repo_id=repo_id,
        checking=PUBLISHED_WHOLE if choices.include_forget_ids else WITHHELD,
        limits=limits_of(report),
        provenance=subject_facts(report),
    )


def find_candidate(report: AuditReport, name: str | None) -> ModelRecord:
    """Return the candidate called `name`, or the only one; otherwise raise `ConfigurationError`."""
    candidates = {model.name: model for model in report.by_role("candidate")}
    if name is None and len(candidates) == 1:
        return next(iter(candidates.values()))
    if name is None:
        raise ConfigurationError(f"This audit has several candidates. Choose one: {', '.join(sorted(candidates))}.")
    if name not in candidates:
        raise ConfigurationError(f"This audit has no candidate {name!r}.{did_you_mean(name, candidates)}")
    return candidates[name]


def card_data(report: AuditReport, model: ModelRecord, repo_id: str, choices: PublishChoices) -> ModelCardData:
    """Return the card's metadata."""
    from huggingface_hub import ModelCardData

    datasets = _datasets(report, choices)
    relation: dict[str, Any] = {"base_model_relation": "finetune"} if choices.base_model else {}
    return ModelCardData(
        model_name=repo_id.split("/")[-1],
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["unlearn-audit", "machine-unlearning"],
        datasets=datasets or None,
        base_model=choices.base_model,
        license=choices.license,
        metrics=["accuracy"],
        eval_results=_eval_results(report, model, (datasets or [report.data.name])[0]) or None,
        **relation,
    )


def _datasets(report: AuditReport, choices: PublishChoices) -> list[str]:
    if choices.datasets:
        return list(choices.datasets)
    return [report.data.name] if report.data.name.count("/") == 1 else []


def _eval_results(report: AuditReport, model: ModelRecord, dataset: str) -> list[EvalResult]:
    results = []
    figures = report.aggregate.get(model.name)
    if figures is not None and figures.test_accuracy is not None:
        results.append(_eval_result(report, dataset, "test", "accuracy", "accuracy", figures.test_accuracy))
    population, measure = primary_population(report), report.policy.measure
    found = report.comparison(model.name, population, measure)
    if found is not None and found.strata[0].excess is not None:
        split = "test" if population == "test" else "train"
        title = f"excess {measure} in the nearest stratum, {population} set, K = {report.num_references}"
        results.append(_eval_result(report, dataset, split, f"excess_{measure}", title, found.strata[0].excess))
    return results + _answers(report, model, dataset)


def _answers(report: AuditReport, model: ModelRecord, dataset: str) -> list[EvalResult]:
    """Return the answers as metrics, each in words with its K; none where the audit gives no verdict."""
    judgement = report.judgements.get(model.name)
    if judgement is None or not has_verdict(report, model.name):
        return []
    return [
        _eval_result(
            report,
            dataset,
            "train" if answer.question == "forgotten" else "train+test",
            METRICS[answer.question],
            f"{TITLES[answer.question].lower()} K = {judgement.num_references}",
            answer_word(answer),
        )
        for answer in judgement.answers
    ]


def _eval_result(
    report: AuditReport, dataset: str, split: str, kind: str, title: str, value: float | str
) -> EvalResult:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="image-classification",
        dataset_type=dataset,
        dataset_name=report.data.name,
        dataset_split=split,
        metric_type=kind,
        metric_name=title,
        metric_value=value if isinstance(value, str) else round(value, 6),
    )


def _forget_set(report: AuditReport) -> str:
    return f"{report.forget_set.description} ({whole(report.forget_set.size)} examples)"


def _strata(report: AuditReport, model: ModelRecord) -> Table:
    whole_table = strata_table(report, report.policy.measure, primary_population(report), only=model)
    keep = [whole_table.columns.index(name) for name in CARD_COLUMNS]
    rows = tuple(tuple(row[i] for i in keep) for row in whole_table.groups[0].rows)
    return Table(whole_table.caption, CARD_COLUMNS, (Group("", rows),))


def _code(text: str) -> str:
    """Leave only what a name needs, so that text from outside cannot leave its code span or command."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "._-/: ")
