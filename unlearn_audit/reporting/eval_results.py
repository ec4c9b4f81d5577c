"""`.eval_results/*.yaml`: the answers and the accuracy as the Hub reads them beside a model.

Written with `huggingface_hub`'s own classes; `model-index` in the card is the older form of the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearn_audit import __version__
from unlearn_audit.files import write_text
from unlearn_audit.reporting.card import CardFacts, find_candidate
from unlearn_audit.reporting.card_data import audited_datasets, metrics_of

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

    from unlearn_audit.auditing.report import AuditReport


def eval_result_entries(report: AuditReport, facts: CardFacts) -> list[EvalResultEntry]:
    """Return one entry a metric; none where no data set of the Hub is known, which an entry must name."""
    from huggingface_hub import EvalResultEntry

    model = find_candidate(report, facts.choices.candidate)
    datasets = audited_datasets(report, facts.choices)
    judged = f"K = {report.num_references} retrained models, {report.data.name}, unlearn-audit {__version__}"
    return [
        EvalResultEntry(
            dataset_id=datasets[0],
            task_id=metric.kind,
            value=metric.value,
            dataset_revision=facts.choices.dataset_revision,
            date=report.provenance.created,
            source_url=f"https://huggingface.co/{facts.repo_id}/tree/main/{facts.audit}",
            source_name="unlearn-audit",
            notes=f"{metric.title}; {judged}",
        )
        for metric in (metrics_of(report, model, figures=facts.figures) if datasets else ())
    ]


def write_eval_results(report: AuditReport, path: str | Path, facts: CardFacts) -> Path | None:
    """Write the entries as YAML and return the path; None, and no file, where there are none."""
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    entries: list[dict[str, Any]] = eval_result_entries_to_yaml(eval_result_entries(report, facts))
    if not entries:
        return None
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
    return Path(path)
