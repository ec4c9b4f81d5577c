"""What of a model and its audit is published, laid out as it will lie on the Hub.

An audit's folder tells in several ways who was forgotten: by the ids of the forget set; by the ledger, which names the
population of each example, and its proximity; by predictions on training examples, because the rows that are missing
are the forgotten ones, and because a retrained model is less sure of them; by the seed of the choice, with which anyone
can draw the same set again; and by words and file names. None of these is published unless it is asked for: `public.py`
says what is, instead.

On the Hub: the model's own files and README.md at the top, all of the audit in `audit/`. Its manifest holds the hash of
every file, those at the top too.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport, ModelRecord
from unlearn_audit.errors import AuditError, VerificationError
from unlearn_audit.files import replacing, sha256, write_text
from unlearn_audit.names import file_name
from unlearn_audit.publishing.public import check_size, public_report, public_rows, write_test_predictions
from unlearn_audit.reporting.card import find_candidate, write_card
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.html import write_html
from unlearn_audit.reporting.ledger import read_ledger
from unlearn_audit.reporting.sections.verdicts import has_verdict
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import MANIFEST, Manifest, PublishedModel, read_manifest
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.verify import MODEL_FILES, verify

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel

    from unlearn_audit.reporting.pictures import ImageSource

AUDIT_FOLDER = "audit"
PREDICTIONS_FOLDER = "predictions"  # of the published audit
CARD = "README.md"
WITHHELD_POPULATIONS = ("retain", "forget")


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
    progress: Callable[[str, int, int], None] | None = None,
) -> Publication:
    """Lay out in `staging` what is to be published.

    Raises:
        AuditError: where the report is not what its inputs say, without a verdict, for weights that are no safetensors
            or not those that were audited, and for a forget set too small to be kept unknown.
    """
    from unlearn_audit.models.loading import load_model

    folder, model_folder = folder.resolve(), model_folder.resolve()
    report = AuditReport.load(folder)
    model = find_candidate(report, choices.candidate)
    files = model_files(model_folder)
    _check_model_files(model_folder, files)
    loaded = load_model(model_folder)
    if not choices.force:
        check_verdict(report, model)
    check_weights(model, loaded, unknown_too=choices.force)
    ours = registered_here(loaded)
    stage_audit(
        folder, staging, repo_id=repo_id, choices=choices, images=images, custom_architecture=ours, progress=progress
    )
    cover_model(staging, {**files, CARD: staging / CARD})
    staged = {p.relative_to(staging).as_posix(): p for p in sorted(staging.rglob("*")) if p.is_file()}
    digest = sha256(staging / AUDIT_FOLDER / MANIFEST)[:12]
    return Publication({**files, **staged}, _left_out(choices), f"Publish {model.name} with its audit {digest}")


def stage_audit(
    folder: Path,
    staging: Path,
    *,
    repo_id: str,
    choices: PublishChoices,
    images: ImageSource | None = None,
    custom_architecture: bool,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Write `README.md` and `audit/` into `staging`, with no more than `choices` allows to publish.

    `cover_model` then adds the model's files to the manifest.

    Raises:
        AuditError: where the report is not what its inputs say, or the forget set too small to be kept unknown.
    """
    check_unedited(folder, progress)
    report, manifest = AuditReport.load(folder), read_manifest(folder)
    audit = staging / AUDIT_FOLDER
    shutil.rmtree(audit, ignore_errors=True)
    audit.mkdir()
    if choices.include_forget_ids:
        request, shown, ledger = _copy_everything(folder, manifest, audit), report, read_ledger(folder)
    else:
        check_size(report.forget_set)
        title = f"Unlearning audit of {repo_id.split('/')[-1]}"
        request = _copy_test_rows(folder, manifest, audit, title)
        shown = public_report(report, title=title, commitment=_commitment(folder, manifest))
        ledger = public_rows(read_ledger(folder), [model.name for model in report.models])
    _write_audit(shown, ledger, audit, choices, images)
    candidate = find_candidate(report, choices.candidate).name
    _write_manifest(audit, request, manifest, candidate, whole=choices.include_forget_ids)
    write_card(shown, staging / CARD, repo_id=repo_id, choices=choices, custom_architecture=custom_architecture)


def cover_model(root: Path, files: Mapping[str, Path]) -> None:
    """Add the hashes of the model's files and of the card, by their path at the top, to the manifest below `root`."""
    path = root / AUDIT_FOLDER
    manifest = read_manifest(path)
    if manifest.model is None:
        raise AuditError(f"Expected a published audit in {AUDIT_FOLDER!r}, got another one.")
    model = dataclasses.replace(manifest.model, files={name: sha256(file) for name, file in sorted(files.items())})
    write_text(path / MANIFEST, dataclasses.replace(manifest, model=model).to_json())


def check_unedited(folder: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Raise `AuditError` where the report is not what its inputs say: an edited report is never published."""
    try:
        verify(folder, progress=progress).raise_if_different()
    except VerificationError as error:
        raise AuditError(
            f"Expected a report as the audit left it, but this one was changed, or its inputs were. {error}\n"
            "Nothing was published. Run the audit again, and publish what it finds."
        ) from error


def _commitment(folder: Path, manifest: Manifest) -> str:
    if not manifest.salt:
        raise AuditError(
            f"Expected a salt in {MANIFEST}, for the hash of the forget set that is published, found none: an earlier "
            "version made this report. Write it again with `unlearn-audit report`."
        )
    return commitment(Forgotten.read(folder / manifest.request.forget).ids, manifest.salt)


def _left_out(choices: PublishChoices) -> tuple[str, ...]:
    left = []
    if not choices.include_forget_ids:
        left.append("ids of the forget set, and the ledger and predictions on training examples, which would tell them")
        left.append("proximities, seeds, and the words and files that the forget set was given by")
        left.append(f"the salt of the forget set's hash, in {MANIFEST}: keep it, it proves which set was forgotten")
    if not choices.include_forget_images:
        left.append("images of the forget set")
    return tuple(left)


# The model


def model_files(folder: Path) -> dict[str, Path]:
    """Return the files by which a model is loaded, by name: configuration, safetensors weights, image processor."""
    return {p.name: p.resolve() for pattern in MODEL_FILES for p in sorted(folder.glob(pattern))}


def _check_model_files(folder: Path, found: Mapping[str, Path]) -> None:
    if "config.json" not in found:
        raise AuditError(f"Expected a model with its config.json in {folder.name!r}, found none.")
    if "preprocessor_config.json" not in found and _config(folder).get("model_type") != "timm_wrapper":
        raise AuditError(f"Expected an image processor (preprocessor_config.json) in {folder.name!r}, found none.")
    if not any(name.endswith(".safetensors") for name in found):
        raise AuditError(
            f"Expected weights as *.safetensors in {folder.name!r}, found none. Save the model with save_pretrained."
        )


def check_verdict(report: AuditReport, model: ModelRecord) -> None:
    """Raise `AuditError` where the audit gives no verdict on the model."""
    if not has_verdict(report, model.name):
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


def _write_manifest(audit: Path, request: AuditRequest, private: Manifest, candidate: str, *, whole: bool) -> None:
    outputs = {p.relative_to(audit).as_posix(): sha256(p) for p in sorted(audit.rglob("*")) if p.is_file()}
    manifest = Manifest(
        request=request,
        inputs=private.inputs if whole else {},
        outputs=outputs,
        withheld=() if whole else WITHHELD_POPULATIONS,
        model=PublishedModel(candidate, {}),
    )
    write_text(audit / MANIFEST, manifest.to_json())


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

    moved = request.with_each(lambda _, files: files.with_paths(lambda _, path: copied(path)))
    return dataclasses.replace(
        moved,
        forget=copied(request.forget),
        embeddings=request.embeddings and copied(request.embeddings),
        proximities=request.proximities and copied(request.proximities),
    )


def _copy_test_rows(folder: Path, manifest: Manifest, audit: Path, title: str) -> AuditRequest:
    """Write the test rows of every file of predictions, and return a request that names only those."""
    taken: set[str] = set()
    (audit / PREDICTIONS_FOLDER).mkdir()

    def cut(name: str, files: ModelFiles) -> ModelFiles:
        paths = []
        for place, path in enumerate(files.predictions):
            file = file_name(f"{name}-{place}", ".parquet", taken)
            taken.add(file)
            paths.append(f"{PREDICTIONS_FOLDER}/{file}")
            write_test_predictions(folder / path, audit / paths[-1])
        return dataclasses.replace(files, predictions=tuple(paths), seed=None)

    return dataclasses.replace(
        manifest.request.with_each(cut),
        title=title,
        forget="withheld",
        embeddings=None,
        proximities=None,
        configuration={},
    )
