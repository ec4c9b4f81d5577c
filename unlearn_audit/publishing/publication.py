"""What of a model and its audit may be published, laid out as it will lie on the Hub.

An audit's folder tells in several ways who was forgotten: by the ids of the forget set; by the ledger, which names the
population of each example; by predictions on training examples, because the rows that are missing are the forgotten
ones, and because a retrained model is less sure of them; and by the seed of the choice, with which anyone can draw the
same set again. None of these is published unless it is asked for: by default the ledger and the predictions hold the
test examples alone, and of the forget set there are a description without its seed, the size and the hash. The hash
commits to the set; it does not hide a set so small, or drawn in so few ways, that a reader could try them all.

On the Hub: the model's own files and README.md at the top, all of the audit in `audit/`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport, ModelRecord, Provenance
from unlearn_audit.errors import AuditError
from unlearn_audit.files import replacing, sha256, write_text
from unlearn_audit.names import file_name
from unlearn_audit.reporting.card import find_candidate, write_card
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.html import write_html
from unlearn_audit.reporting.ledger import read_ledger
from unlearn_audit.reporting.sections.verdicts import has_verdict
from unlearn_audit.saved.manifest import Manifest, read_manifest
from unlearn_audit.saved.request import AuditRequest

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel

    from unlearn_audit.reporting.pictures import ImageSource

AUDIT_FOLDER = "audit"
WITHHELD_POPULATIONS = ("retain", "forget")
MODEL_FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "model.safetensors.index.json")
_SEED = re.compile(r",?\s*\bseed \d+")


@dataclass(frozen=True)
class Publication:
    """Local files by their path on the Hub, what was left out, and the title of the commit."""

    files: dict[str, Path]
    withheld: tuple[str, ...]
    title: str


def prepare_publication(
    folder: Path,
    model_folder: Path,
    staging: Path,
    *,
    repo_id: str,
    choices: PublishChoices,
    images: ImageSource | None = None,
) -> Publication:
    """Lay out in `staging` what is to be published.

    Raises:
        AuditError: without a verdict, for weights that are no safetensors or not those that were audited.
    """
    from unlearn_audit.models.loading import load_model

    report = AuditReport.load(folder)
    model = find_candidate(report, choices.candidate)
    model_files = _model_files(model_folder)
    loaded = load_model(model_folder)
    if not choices.force:
        check_verdict(report, model)
        check_weights(model, loaded)
    ours = registered_here(loaded)
    stage_audit(folder, staging, repo_id=repo_id, choices=choices, images=images, custom_architecture=ours)
    staged = {p.relative_to(staging).as_posix(): p for p in sorted(staging.rglob("*")) if p.is_file()}
    digest = sha256(staging / AUDIT_FOLDER / "manifest.json")[:12]
    return Publication({**model_files, **staged}, _left_out(choices), f"Publish {model.name} with its audit {digest}")


def stage_audit(
    folder: Path,
    staging: Path,
    *,
    repo_id: str,
    choices: PublishChoices,
    images: ImageSource | None = None,
    custom_architecture: bool,
) -> None:
    """Write `README.md` and `audit/` into `staging`, with no more than `choices` allows to publish."""
    report, manifest = AuditReport.load(folder), read_manifest(folder)
    audit = staging / AUDIT_FOLDER
    shutil.rmtree(audit, ignore_errors=True)
    audit.mkdir()
    if choices.include_forget_ids:
        request, shown, ledger = _copy_everything(folder, manifest, audit), report, read_ledger(folder)
    else:
        request, shown = _copy_test_rows(folder, manifest, audit), public_report(report)
        ledger = _test_rows(read_ledger(folder))
    _write_audit(shown, ledger, audit, choices, images)
    _write_manifest(audit, request, manifest, () if choices.include_forget_ids else WITHHELD_POPULATIONS)
    card = staging / "README.md"
    write_card(shown, card, repo_id=repo_id, choices=choices, custom_architecture=custom_architecture)


def _left_out(choices: PublishChoices) -> tuple[str, ...]:
    left = []
    if not choices.include_forget_ids:
        left.append("ids of the forget set, and the ledger and predictions on training examples, which would tell them")
    if not choices.include_forget_images:
        left.append("images of the forget set")
    return tuple(left)


# The model


def _model_files(folder: Path) -> dict[str, Path]:
    found = {p.name: p for pattern in MODEL_FILES for p in sorted(folder.glob(pattern))}
    if "config.json" not in found:
        raise AuditError(f"Expected a model with its config.json in {folder.name!r}, found none.")
    if "preprocessor_config.json" not in found and _config(folder).get("model_type") != "timm_wrapper":
        raise AuditError(f"Expected an image processor (preprocessor_config.json) in {folder.name!r}, found none.")
    if not any(name.endswith(".safetensors") for name in found):
        raise AuditError(
            f"Expected weights as *.safetensors in {folder.name!r}, found none. Save the model with save_pretrained."
        )
    return found


def check_verdict(report: AuditReport, model: ModelRecord) -> None:
    """Raise `AuditError` where the audit gives no verdict on the model."""
    if not has_verdict(report, model.name):
        reason = report.verdicts[model.name].reason if model.name in report.verdicts else "The audit gives none."
        raise AuditError(
            f"Expected a verdict on {model.name!r} before publishing it, found none. {reason} Add retrained models, or "
            "publish without a verdict with --force; the card will say so."
        )


def check_weights(record: ModelRecord, model: PreTrainedModel) -> None:
    """Raise `AuditError` where the model's weights are not those that were audited."""
    from unlearn_audit.models.loading import weights_hash

    if not record.weights_hash:
        raise AuditError(
            f"The audit does not say which weights of {record.name!r} it saw, so it cannot be told whether these are "
            "the same. Publish with --force if you know that they are."
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


# The audit


def public_report(report: AuditReport) -> AuditReport:
    """Return the report without what lets anyone draw the forget set again: its seed, the command, the settings."""
    made = report.provenance
    return dataclasses.replace(
        report,
        title=_SEED.sub("", report.title),
        forget_set=dataclasses.replace(report.forget_set, description=_SEED.sub("", report.forget_set.description)),
        models=tuple(dataclasses.replace(m, model_id=_without_folders(m.model_id)) for m in report.models),
        provenance=Provenance(made.created, made.versions, seconds=made.seconds),
    )


def _without_folders(model_id: str) -> str:
    return PurePath(model_id).name if PurePath(model_id).is_absolute() else model_id


def _test_rows(ledger: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    rows = ledger.filter(pc.equal(ledger["population"], "test"))
    told = [name for name in rows.column_names if name == "nearest_forget_id" or name.endswith(".remembered")]
    return rows.drop_columns(told)


def _write_audit(
    report: AuditReport, ledger: pa.Table, audit: Path, choices: PublishChoices, images: ImageSource | None
) -> None:
    write_text(audit / "report.json", report.to_json())
    _write_table(ledger, audit / "examples.parquet")
    write_html(report, ledger, audit / "report.html", images=images, choices=choices)


def _write_table(rows: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with replacing(path) as draft:
        pq.write_table(rows, draft, compression="zstd")


def _write_manifest(audit: Path, request: AuditRequest, private: Manifest, withheld: tuple[str, ...]) -> None:
    outputs = {p.relative_to(audit).as_posix(): sha256(p) for p in sorted(audit.rglob("*")) if p.is_file()}
    manifest = Manifest(request=request, inputs=private.inputs, outputs=outputs, withheld=withheld)
    write_text(audit / "manifest.json", manifest.to_json())


def _copy_everything(folder: Path, manifest: Manifest, audit: Path) -> AuditRequest:
    """Copy every input into `audit/inputs`, and return the request that names them there."""
    request = manifest.request
    taken: dict[str, str] = {}

    def copied(path: str) -> str:
        if path not in taken:
            taken[path] = f"inputs/{len(taken):02d}-{PurePath(path).name}"
            target = audit / taken[path]
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / path, target)
        return taken[path]

    moved = _with_predictions(request, lambda name, place, path: copied(path))
    return dataclasses.replace(
        moved,
        forget=copied(request.forget),
        embeddings=request.embeddings and copied(request.embeddings),
        proximities=request.proximities and copied(request.proximities),
    )


def _copy_test_rows(folder: Path, manifest: Manifest, audit: Path) -> AuditRequest:
    """Write the test rows of every file of predictions, and return a request that names only those."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    taken: set[str] = set()

    def cut(name: str, place: int, path: str) -> str:
        file = file_name(f"{name}-{place}", ".parquet", taken)
        taken.add(file)
        target = f"predictions/{file}"
        (audit / target).parent.mkdir(exist_ok=True)
        rows = pq.read_table(folder / path)
        rows = rows.filter(pc.equal(rows["split"].cast("string"), "test"))
        kept = [column for column in rows.column_names if column != "embedding"]
        _write_table(rows.select(kept), audit / target)
        return target

    request = _with_predictions(manifest.request, cut)
    title = _SEED.sub("", request.title)
    return dataclasses.replace(
        request, title=title, forget="withheld", embeddings=None, proximities=None, configuration={}
    )


def _with_predictions(request: AuditRequest, moved: Callable[[str, int, str], str]) -> AuditRequest:
    return request.with_each(lambda name, files: files.with_paths(lambda place, path: moved(name, place, path)))
