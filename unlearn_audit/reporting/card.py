"""The model card: a README.md with metadata as the Hub reads it, and the verdict in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.reporting import sections
from unlearn_audit.reporting.charting import primary_population
from unlearn_audit.reporting.html import environment
from unlearn_audit.reporting.tables import Group, Table, escape_markdown, markdown, whole

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

    from unlearn_audit.auditing.report import AuditReport, ModelRecord

WITHHELD = (
    "The forget set itself is not published, only its size and hash, and neither are predictions on training examples, "
    "from which it could be told. What can be checked: every hash, and all figures on the test set."
)
PUBLISHED_WHOLE = "The ids of the forget set are published too: every figure can be recomputed."
CARD_COLUMNS = ("stratum", "examples", "discrepancy", "noise floor", "ratio", "excess")


@dataclass(frozen=True)
class CardFacts:
    """What only the publisher knows.

    Attributes:
        repo_id: where the model will be, as `user/name`.
        license: passed through to the metadata, for example "apache-2.0".
        base_model: Hub id of the model that this one was made from.
        datasets: Hub ids; by default the audited data set, if its name is a Hub id.
        custom_architecture: whether the architecture is one that `import unlearn_audit.models` registers with timm; by
            default the card imports it, which is right for every model.
        forget_ids_published: whether the ids of the forget set are published with the model.
    """

    repo_id: str
    license: str | None = None
    base_model: str | None = None
    datasets: tuple[str, ...] = ()
    custom_architecture: bool = True
    forget_ids_published: bool = False


def write_card(report: AuditReport, path: str | Path, *, candidate: str | None = None, facts: CardFacts) -> Path:
    """Write the card of one candidate, and return its path.

    Args:
        report: the audit.
        path: of the file, usually README.md.
        candidate: by default the only one.
        facts: what the report cannot know.
    """
    path = Path(path)
    path.write_text(card_text(report, candidate=candidate, facts=facts), encoding="utf-8")
    return path


def card_text(report: AuditReport, *, candidate: str | None = None, facts: CardFacts) -> str:
    """Return the text of the card, metadata first."""
    model = find_candidate(report, candidate)
    place = [m.name for m in report.by_role("candidate")].index(model.name)
    templates = environment(escape=False)
    templates.filters["md"] = escape_markdown
    templates.filters["code"] = _code
    return templates.get_template("card.md.j2").render(
        metadata=card_data(report, model, facts).to_yaml().strip(),
        name=facts.repo_id.split("/")[-1],
        verdict=sections.verdicts(report)[place],
        forget_set=escape_markdown(_forget_set(report)),
        method=model.method or model.name,
        num_references=report.num_references,
        alarms=sections.alarms(report),
        policy=sections.policy_sentence(report),
        strata=markdown(_strata(report, model)),
        ours=facts.custom_architecture,
        repo_id=facts.repo_id,
        checking=PUBLISHED_WHOLE if facts.forget_ids_published else WITHHELD,
        limits=sections.limits(report),
        provenance=sections.provenance(report)[:6],
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


def card_data(report: AuditReport, model: ModelRecord, facts: CardFacts) -> ModelCardData:
    """Return the card's metadata."""
    from huggingface_hub import ModelCardData

    relation = {"base_model_relation": "finetune"} if facts.base_model else {}
    return ModelCardData(
        model_name=facts.repo_id.split("/")[-1],
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["unlearn-audit", "machine-unlearning"],
        datasets=_datasets(report, facts) or None,
        base_model=facts.base_model,
        license=facts.license,
        metrics=["accuracy"],
        eval_results=_eval_results(report, model, facts) or None,
        **relation,
    )


def _datasets(report: AuditReport, facts: CardFacts) -> list[str]:
    if facts.datasets:
        return list(facts.datasets)
    return [report.data.name] if report.data.name.count("/") == 1 else []


def _eval_results(report: AuditReport, model: ModelRecord, facts: CardFacts) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    about = {
        "task_type": "image-classification",
        "dataset_type": (_datasets(report, facts) or [report.data.name])[0],
        "dataset_name": report.data.name,
    }
    results = []
    accuracy = sections.accuracy(report, model.name, "test")
    if accuracy is not None:
        results.append(
            EvalResult(
                **about,
                dataset_split="test",
                metric_type="accuracy",
                metric_name="accuracy",
                metric_value=round(accuracy, 6),
            )
        )
    population, measure = primary_population(report), report.policy.measure
    found = report.comparison(model.name, population, measure)
    if found is not None and found.strata[0].excess is not None:
        title = f"excess {measure} in the nearest stratum, {population} set, K = {report.num_references}"
        results.append(
            EvalResult(
                **about,
                dataset_split="test" if population == "test" else "train",
                metric_type=f"excess_{measure}",
                metric_name=title,
                metric_value=round(found.strata[0].excess, 6),
            )
        )
    return results


def _forget_set(report: AuditReport) -> str:
    return f"{report.forget_set.description} ({whole(report.forget_set.size)} examples)"


def _strata(report: AuditReport, model: ModelRecord) -> Table:
    whole_table = sections.strata_table(report, report.policy.measure, primary_population(report), only=model)
    keep = [whole_table.columns.index(name) for name in CARD_COLUMNS]
    rows = tuple(tuple(row[i] for i in keep) for row in whole_table.groups[0].rows)
    return Table(whole_table.caption, CARD_COLUMNS, (Group("", rows),))


def _code(text: str) -> str:
    """Leave only what a name needs, so that text from outside cannot leave its code span or command."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "._-/: ")
