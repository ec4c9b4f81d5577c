"""The model card: a README.md whose first screen says whether it was forgotten, whom it hurt, and how one knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit.auditing.briefly import brief
from unlearn_audit.auditing.groups import Question
from unlearn_audit.auditing.policy import FirstPolicy
from unlearn_audit.auditing.questions import Outcome
from unlearn_audit.errors import ConfigurationError, did_you_mean
from unlearn_audit.files import write_text
from unlearn_audit.reporting.card_data import card_data
from unlearn_audit.reporting.charting import primary_population
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.citation import BIBTEX, PAPER
from unlearn_audit.reporting.sections.limits import limits_of
from unlearn_audit.reporting.sections.provenance import subject_facts
from unlearn_audit.reporting.sections.strata import strata_table
from unlearn_audit.reporting.sections.verdicts import (
    alarms,
    has_verdict,
    policy_sentence,
    retrained_models,
    shown_verdict,
)
from unlearn_audit.reporting.tables import Group, Table, escape_markdown, markdown, whole
from unlearn_audit.reporting.templating import environment

if TYPE_CHECKING:
    from unlearn_audit.auditing.report import AuditReport, ModelRecord

WITHHELD = (
    "The forget set itself is not published, only its size, its classes and a salted hash, and neither are proximities "
    "and predictions on training examples, from which it could be told. What can be checked: every file's hash, that "
    "the weights are those that were audited, all figures on the test set, and that the answers follow from findings."
)
ANSWERS_ONLY = (
    "Of the audit the answers alone are published, and a salted hash of the forget set: its figures would tell who was "
    "forgotten. What can be checked: every file's hash, and that the weights are those that were audited."
)
PUBLISHED_WHOLE = "The ids of the forget set are published too: every figure can be recomputed."
DEFAULTS = PublishChoices()
CARD_COLUMNS = ("stratum", "examples", "discrepancy", "noise floor", "ratio", "excess")
# What the first screen says of an answer.
SAID: dict[Question, dict[Outcome, str]] = {
    "forgotten": {"pass": "Yes.", "fail": "No.", "inconclusive": "Not settled."},
    "neighbours": {
        "pass": "Its neighbours: unharmed.",
        "fail": "Its neighbours: harmed.",
        "inconclusive": "Its neighbours: not settled.",
    },
    "rest": {
        "pass": "Everything else: unharmed.",
        "fail": "Everything else: harmed.",
        "inconclusive": "Everything else: not settled.",
    },
}


@dataclass(frozen=True)
class CardFacts:
    """What a card has to know besides the report.

    Attributes:
        repo_id: where the model will be, as `user/name`.
        choices: which candidate, what is published with it, and what goes into the metadata.
        custom_architecture: whether the architecture is one that `import unlearn_audit.models` registers with timm; by
            default the card imports it, which is right for every model.
        figures: whether figures may be told; otherwise the answers alone are.
        audit: the folder in which the audit lies on the Hub.
        curve: the path of the picture as seen from the card; empty shows none.
        relation: of the published weights to the base model: "finetune", "adapter" or "quantized".
    """

    repo_id: str
    choices: PublishChoices = DEFAULTS
    custom_architecture: bool = True
    figures: bool = True
    audit: str = "audit"
    curve: str = ""
    relation: str = "finetune"


def write_card(report: AuditReport, path: str | Path, facts: CardFacts) -> Path:
    """Write the card of one candidate, and return its path, usually README.md."""
    write_text(path, card_text(report, facts))
    return Path(path)


def card_text(report: AuditReport, facts: CardFacts) -> str:
    """Return the text of the card, metadata first."""
    model = find_candidate(report, facts.choices.candidate)
    templates = environment(escape=False)
    templates.filters["md"] = escape_markdown
    templates.filters["code"] = _code
    metadata = card_data(report, model, facts.repo_id, facts.choices, relation=facts.relation, figures=facts.figures)
    verdict = shown_verdict(report, model)
    return templates.get_template("card.md.j2").render(
        facts=facts,
        metadata=metadata.to_yaml().strip(),
        name=facts.repo_id.split("/")[-1],
        verdict=verdict,
        failed=verdict.kind == "fail",
        answers=_answers(report, model, facts),
        forget_set=_forget_set(report) if facts.figures else "some of its training examples",
        method=model.method or model.name,
        references=retrained_models(report.num_references),
        alarms=alarms(report) if facts.figures else (),
        policy=policy_sentence(report),
        strata=markdown(_strata(report, model)) if facts.figures else "",
        checking=_checking(facts),
        limits=limits_of(report) if facts.figures else limits_of(report)[:4],
        provenance=subject_facts(report) if facts.figures else _few_facts(report),
        paper=PAPER,
        bibtex=BIBTEX,
    )


def _checking(facts: CardFacts) -> str:
    if facts.choices.include_forget_ids:
        return PUBLISHED_WHOLE
    return WITHHELD if facts.figures else ANSWERS_ONLY


def _answers(report: AuditReport, model: ModelRecord, facts: CardFacts) -> dict[str, tuple[str, str]]:
    """Return for each question what the first screen says, in a word and by what; empty without a verdict."""
    judgement, policy = report.judgements.get(model.name), report.policy
    if judgement is None or isinstance(policy, FirstPolicy) or not has_verdict(report, model.name):
        return {}
    unit = next(measure.unit for measure in report.measures if measure.name == policy.measure)
    return {
        answer.question: (
            SAID[answer.question][answer.outcome],
            _capital(brief(answer, policy, unit).partition(": ")[2]) if facts.figures else "",
        )
        for answer in judgement.answers
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


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


def _forget_set(report: AuditReport) -> str:
    return f"{report.forget_set.description} ({whole(report.forget_set.size)} examples)"


def _few_facts(report: AuditReport) -> tuple[tuple[str, Any], ...]:
    """Return what was audited without anything of the forget set but its salted hash."""
    kept = ("Data", "Data fingerprint", "Forget-set hash, salted")
    return tuple(fact for fact in subject_facts(report) if fact[0] in kept)


def _strata(report: AuditReport, model: ModelRecord) -> Table:
    whole_table = strata_table(report, report.policy.measure, primary_population(report), only=model)
    keep = [whole_table.columns.index(name) for name in CARD_COLUMNS]
    rows = tuple(tuple(row[i] for i in keep) for row in whole_table.groups[0].rows)
    return Table(whole_table.caption, CARD_COLUMNS, (Group("", rows),))


def _code(text: str) -> str:
    """Leave only what a name needs, so that text from outside cannot leave its code span or command."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "._-/: ")
