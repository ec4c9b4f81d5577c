"""What of a model and its audit is published, laid out as it will lie on the Hub.

An audit's folder tells in several ways who was forgotten: by the ids of the forget set; by the ledger, which names the
population of each example, and its proximity; by predictions on training examples, because the rows that are missing
are the forgotten ones, and because a retrained model is less sure of them; by the seed of the choice, with which anyone
can draw the same set again; and by words and file names. None of these is published unless it is asked for: `public.py`
says what is, instead. Attacks are then run on it (`attacks/`), and where one succeeds, the answers alone are published.

On the Hub: the model's own files and README.md at the top, all of the audit in `audit/`, or in `audits/NAME/` where
somebody else audited the model. Its manifest holds the hash of every file, those at the top too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport, ModelRecord
from unlearn_audit.errors import AuditError, VerificationError
from unlearn_audit.files import sha256, write_text
from unlearn_audit.publishing.attacks import Exposure, exposures
from unlearn_audit.publishing.exposure import target_of
from unlearn_audit.publishing.model import (
    check_model_files,
    check_verdict,
    check_weights,
    model_files,
    registered_here,
)
from unlearn_audit.publishing.origins import (
    Inferred,
    LookUp,
    config_to_publish,
    infer,
    names_its_base,
    nothing,
    relation_of,
)
from unlearn_audit.publishing.public import LEAST_FORGOTTEN, too_few
from unlearn_audit.publishing.staging import Disclosure, Layout, Staging, stage
from unlearn_audit.reporting.card import find_candidate
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.saved.manifest import MANIFEST, PublishedModel, read_manifest
from unlearn_audit.saved.verify import verify

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from unlearn_audit.reporting.pictures import ImageSource

OWNER = Layout()


@dataclass(frozen=True)
class Publication:
    """What will lie on the Hub.

    Attributes:
        files: of this machine, by their path on the Hub.
        withheld: what was left out, and why.
        title: of the commit.
        exposures: what attacks found.
        inferred: what the card's metadata say that was not given.
    """

    files: dict[str, Path]
    withheld: tuple[str, ...]
    title: str
    exposures: tuple[Exposure, ...] = ()
    inferred: Mapping[str, str] = field(default_factory=dict)


def prepare_publication(
    folder: Path,
    model_folder: Path,
    staging: Path,
    *,
    repo_id: str,
    choices: PublishChoices,
    images: ImageSource | None = None,
    layout: Layout = OWNER,
    look_up: LookUp = nothing,
    progress: Callable[[str, int, int], None] | None = None,
) -> Publication:
    """Lay out in `staging` what is to be published; `look_up` asks the Hub for the card of the base model.

    Raises:
        AuditError: where the report is not what its inputs say, without a verdict or with one that fails, for weights
            that are no safetensors or not those that were audited, and where an attack finds ids in what would be
            published.
    """
    folder, model_folder = folder.resolve(), model_folder.resolve()
    report = AuditReport.load(folder)
    record = find_candidate(report, choices.candidate)
    files = model_files(model_folder)
    loaded = _checked_model(report, record, model_folder, files, choices)
    check_unedited(folder, progress)
    check_verdict(report, record, choices)
    known = _inferred(choices, report, model_folder, repo_id, look_up) if layout.own else Inferred(choices)
    plan = Staging(
        folder,
        staging,
        repo_id,
        known.choices,
        layout,
        images,
        custom_architecture=registered_here(loaded),
        relation=relation_of(files),
        names_base=layout.own and names_its_base(files),
        disclosure=Disclosure.everything if choices.include_forget_ids else Disclosure.figures,
    )
    plan, found, reasons = _withholding(plan, report, record)
    _write_configuration(plan, model_folder)
    _cover_model(staging, layout, files)
    staged = {p.relative_to(staging).as_posix(): p for p in sorted(staging.rglob("*")) if p.is_file()}
    digest = sha256(staging / layout.audit / MANIFEST)[:12]
    what = f"Publish {record.name} with its audit" if layout.own else f"Audit by {layout.auditor} of {record.name}:"
    return Publication(
        files={**(files if layout.own else {}), **staged},
        withheld=(*reasons, *known.withheld, *_left_out(plan)),
        title=f"{what} {digest}",
        exposures=found,
        inferred=known.named(plan.choices),
    )


def _inferred(
    choices: PublishChoices, report: AuditReport, model_folder: Path, repo_id: str, look_up: LookUp
) -> Inferred:
    original = next((model.model_id for model in report.by_role("original")), "")
    return infer(choices, model_folder, original, repo_id=repo_id, look_up=look_up)


def _write_configuration(plan: Staging, model_folder: Path) -> None:
    """Stage the model's configuration without what it tells of where the model was, if it does."""
    text = config_to_publish(model_folder, linked=plan.linked) if plan.layout.own else None
    if text is not None:
        write_text(plan.target / "config.json", text)


def _checked_model(
    report: AuditReport, record: ModelRecord, folder: Path, files: Mapping[str, Path], choices: PublishChoices
) -> PreTrainedModel:
    from unlearn_audit.models.loading import load_model

    check_model_files(folder, files)
    loaded = load_model(folder)
    check_weights(record, loaded, unknown_too=choices.unknown_weights)
    return loaded


def _withholding(
    plan: Staging, report: AuditReport, record: ModelRecord
) -> tuple[Staging, tuple[Exposure, ...], tuple[str, ...]]:
    """Stage as much as leaks nothing; return what was staged, what attacks on that find, and why less than all is.

    Raises:
        AuditError: where what leaks cannot be left out.
    """
    if plan.disclosure is Disclosure.everything:
        stage(plan)
        return plan, (), ()
    reasons: list[str] = []
    if too_few(report.forget_set):
        plan = dataclasses.replace(plan, disclosure=Disclosure.answers)
        reasons.append(f"all figures: of fewer than {LEAST_FORGOTTEN} forgotten examples, they tell which these are")
    while True:
        commitment = stage(plan)
        found = tuple(exposures(target_of(plan, report, record, commitment)))
        leaks = [] if plan.choices.accept_exposure else [e for e in found if e.leaks]
        if any(e.remedy == "refuse" for e in found if e.leaks):
            told = " ".join(str(e) for e in found if e.leaks)
            raise AuditError(f"Expected nothing in what is published to tell who was forgotten. {told} Report this.")
        figures = [e for e in leaks if e.remedy == "figures" and plan.disclosure is Disclosure.figures]
        links = [e for e in leaks if e.remedy == "base_model"]
        if links and plan.names_base:
            raise AuditError(
                f"Expected nothing in what is published to tell who was forgotten. {links[0]} The adapter names it, so "
                "the link cannot be left out. Publish merged weights, which load_model and save_model make, or "
                "publish all the same with --accept-exposure."
            )
        if not figures and not links:
            return plan, found, tuple(reasons)
        reasons += [f"all figures. {e}" for e in figures] + [f"the link to the base model. {e}" for e in links]
        plan = plan.without(figures=bool(figures), link=bool(links))


def _cover_model(root: Path, layout: Layout, files: Mapping[str, Path]) -> None:
    """Add the hashes of what lies at the top, by path, to the manifest of the audit below `root`."""
    audit = root / layout.audit
    manifest = read_manifest(audit)
    staged = [p for p in root.rglob("*") if p.is_file() and audit not in p.parents]
    top = {**files, **{p.relative_to(root).as_posix(): p for p in staged}}
    hashes = {name: sha256(path) for name, path in sorted(top.items())}
    if manifest.model is None:
        raise AuditError(f"Expected a published audit in {layout.audit!r}, got another one.")
    model: PublishedModel = dataclasses.replace(manifest.model, files=hashes)
    write_text(audit / MANIFEST, dataclasses.replace(manifest, model=model).to_json())


def check_unedited(folder: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Raise `AuditError` where the report is not what its inputs say: an edited report is never published."""
    try:
        verify(folder, progress=progress).raise_if_different()
    except VerificationError as error:
        raise AuditError(
            f"Expected a report as the audit left it, but this one was changed, or its inputs were. {error}\n"
            "Nothing was published. Run the audit again, and publish what it finds."
        ) from error


def _left_out(plan: Staging) -> tuple[str, ...]:
    left = []
    if plan.disclosure is not Disclosure.everything:
        left.append("ids of the forget set, and the ledger and predictions on training examples, which would tell them")
        left.append("proximities, seeds, and the words and files that the forget set was given by")
        left.append(f"the salt of the forget set's hash, in {MANIFEST}: keep it, it proves which set was forgotten")
    if not plan.choices.include_forget_images:
        left.append("images of the forget set")
    return tuple(left)
