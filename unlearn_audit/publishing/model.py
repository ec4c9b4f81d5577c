"""The model that is published: its files, and whether it is the one that was audited and may be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport, ModelRecord
from unlearn_audit.errors import AuditError
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.sections.verdicts import has_verdict
from unlearn_audit.saved.verify import MODEL_FILES

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def model_files(folder: Path) -> dict[str, Path]:
    """Return the files by which a model is loaded, by name: configuration, safetensors weights, image processor."""
    return {p.name: p.resolve() for pattern in MODEL_FILES for p in sorted(folder.glob(pattern))}


def check_model_files(folder: Path, found: Mapping[str, Path]) -> None:
    """Raise `AuditError` unless the files hold a configuration, an image processor and safetensors weights."""
    if "config.json" not in found:
        raise AuditError(f"Expected a model with its config.json in {folder.name!r}, found none.")
    if "preprocessor_config.json" not in found and _config(folder).get("model_type") != "timm_wrapper":
        raise AuditError(
            f"Expected an image processor (preprocessor_config.json) in {folder.name!r}, found none. "
            "Trainer writes one beside the model if it is its processing_class."
        )
    if not any(name.endswith(".safetensors") for name in found):
        raise AuditError(
            f"Expected weights as *.safetensors in {folder.name!r}, found none. Save the model with save_pretrained."
        )


def check_verdict(report: AuditReport, model: ModelRecord, choices: PublishChoices) -> None:
    """Raise `AuditError` where the audit gives no verdict on the model, or fails it, unless that is allowed."""
    given = has_verdict(report, model.name)
    if given and report.verdicts[model.name].outcome == "fail" and not choices.allow_failing:
        raise AuditError(
            f"{model.name!r} failed its audit: {report.verdicts[model.name].reason} Nothing was published. "
            "Publish it all the same with --allow-failing (PublishChoices(allow_failing=True)); its card says so "
            "in the first line."
        )
    if not given and not choices.force:
        reason = report.verdicts[model.name].reason if model.name in report.verdicts else "The audit gives none."
        raise AuditError(
            f"Expected a verdict on {model.name!r} before publishing it, found none. {reason} Add retrained models, or "
            "publish without a verdict with --force; the card will say so."
        )


def check_weights(record: ModelRecord, model: PreTrainedModel, *, unknown_too: bool = False) -> None:
    """Raise `AuditError` where the model's weights are not those that were audited.

    With `unknown_too`, an audit that does not say which weights it saw is no reason.
    """
    from unlearn_audit.models.loading import weights_hash

    if not record.weights_hash:
        if unknown_too:
            return
        raise AuditError(
            f"The audit does not say which weights of {record.name!r} it saw, so it cannot be told whether these are "
            "the same. Publish with --unknown-weights if you know that they are; `verify` will say that nobody checked."
        )
    found = weights_hash(model)
    if found != record.weights_hash:
        raise AuditError(
            f"Expected the weights that were audited as {record.name!r} (SHA-256 {record.weights_hash[:12]}…), but "
            f"these are others ({found[:12]}…). Audit these, or give the folder of the right model."
        )


def registered_here(model: PreTrainedModel) -> bool:
    """Tell whether the architecture is one that this package registers with timm."""
    from timm import is_model
    from timm.models import model_entrypoint

    architecture = getattr(model.config, "architecture", None)
    if not architecture or not is_model(architecture):
        return False
    return model_entrypoint(architecture).__module__.startswith("unlearn_audit.")


def _config(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found
