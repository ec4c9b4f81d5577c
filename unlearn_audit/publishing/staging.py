"""Writes what is published into a folder, laid out as on the Hub, at one of three levels of disclosure."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from unlearn_audit.auditing.report import AuditReport, ForgetRecord
from unlearn_audit.errors import AuditError
from unlearn_audit.files import replacing, sha256, write_text
from unlearn_audit.names import file_name
from unlearn_audit.predictions.names import Names
from unlearn_audit.publishing.answers import ANSWERS, PublishedAnswers
from unlearn_audit.publishing.public import public_report, public_rows, write_test_predictions
from unlearn_audit.remote.sources import at_hand, placed
from unlearn_audit.reporting.card import CardFacts, find_candidate, write_card
from unlearn_audit.reporting.choices import PublishChoices
from unlearn_audit.reporting.curve import CURVE, write_curve
from unlearn_audit.reporting.eval_results import write_eval_results
from unlearn_audit.reporting.html import write_html
from unlearn_audit.reporting.ledger import read_ledger
from unlearn_audit.saved.forgotten import Forgotten, commitment
from unlearn_audit.saved.manifest import MANIFEST, Manifest, PublishedModel, read_manifest
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.sealing import SEAL

if TYPE_CHECKING:
    import pyarrow as pa

    from unlearn_audit.reporting.pictures import ImageSource

AUDIT_FOLDER = "audit"
AUDITS_FOLDER = "audits"  # of those who audit another's model, one folder each
PREDICTIONS_FOLDER = "predictions"  # of the published audit
CARD = "README.md"
RESULTS_FOLDER = ".eval_results"  # where the Hub looks for results


class Disclosure(Enum):
    """How much is published: the answers alone; figures and test examples; or who was forgotten, and all there is."""

    answers = "answers"
    figures = "figures"
    everything = "everything"


# Populations of which nothing can be computed again.
WITHHELD: dict[Disclosure, tuple[str, ...]] = {
    Disclosure.answers: ("retain", "forget", "test"),
    Disclosure.figures: ("retain", "forget"),
    Disclosure.everything: (),
}


@dataclass(frozen=True)
class Layout:
    """Where an audit lies on the Hub: the owner's in `audit`, another auditor's in a folder of their own."""

    auditor: str = ""
    own: bool = True

    @property
    def audit(self) -> str:
        """The folder of the audit."""
        return AUDIT_FOLDER if self.own else f"{AUDITS_FOLDER}/{self.auditor}"

    @property
    def card(self) -> str:
        """The path of the card."""
        return CARD if self.own else f"{self.audit}/{CARD}"

    @property
    def results(self) -> str:
        """The path of the results that the Hub shows."""
        return f"{RESULTS_FOLDER}/unlearn-audit{'' if self.own else f'-{self.auditor}'}.yaml"

    @property
    def top(self) -> str:
        """The way from the audit's folder to the model."""
        return ".." if self.own else "../.."


@dataclass(frozen=True)
class Staging:
    """What to write, from the audit in `folder` into `target`, and how much of it."""

    folder: Path
    target: Path
    repo_id: str
    choices: PublishChoices
    layout: Layout
    images: ImageSource | None
    custom_architecture: bool
    relation: str  # of the weights to the base model
    names_base: bool  # whether the model's own files name it
    disclosure: Disclosure

    @property
    def linked(self) -> bool:
        """Whether the base model is named."""
        return self.names_base or bool(self.choices.base_model)

    @property
    def audit(self) -> Path:
        """Where the audit is written."""
        return self.target / self.layout.audit

    def without(self, *, figures: bool, link: bool) -> Staging:
        """Return the same without figures, or without the link to the base model."""
        unlinked = dataclasses.replace(self.choices, base_model="", license_link=None)
        choices = unlinked if link else self.choices
        disclosure = Disclosure.answers if figures else self.disclosure
        return dataclasses.replace(self, choices=choices, disclosure=disclosure)


def stage(plan: Staging) -> str:
    """Write card, results and audit anew, and return the hash by which they commit to the forget set.

    Raises:
        AuditError: where the report has no salt.
    """
    shutil.rmtree(plan.target, ignore_errors=True)
    plan.audit.mkdir(parents=True)
    report, manifest = AuditReport.load(plan.folder), read_manifest(plan.folder)
    committed = _commitment(plan.folder, manifest) if plan.disclosure is not Disclosure.everything else ""
    candidate = find_candidate(report, plan.choices.candidate)
    if plan.disclosure is Disclosure.answers:
        unknown = ForgetRecord(0, committed, "withheld", {}, salted=True)
        shown, request = (
            dataclasses.replace(report, forget_set=unknown),
            _without_files(manifest.request, candidate.name),
        )
        write_text(plan.audit / ANSWERS, PublishedAnswers.of(report, candidate, committed).to_json())
    else:
        shown, request = _write_figures(plan, report, manifest, committed)
    _write_card(plan, shown)
    model = PublishedModel(candidate.name, {}, plan.layout.auditor, plan.layout.top)
    write_text(plan.audit / MANIFEST, _manifest(plan, request, manifest, model).to_json())
    return committed


def _write_figures(
    plan: Staging, report: AuditReport, manifest: Manifest, committed: str
) -> tuple[AuditReport, AuditRequest]:
    """Write report, ledger, predictions and curve; return the report as it is published, and its request."""
    ledger = read_ledger(plan.folder)
    if plan.disclosure is Disclosure.everything:
        request, shown = _copy_everything(plan.folder, manifest, plan.audit), report
        if (plan.folder / SEAL).exists():
            shutil.copyfile(plan.folder / SEAL, plan.audit / SEAL)
    else:
        title = f"Unlearning audit of {plan.repo_id.split('/')[-1]}"
        request = _copy_test_rows(plan.folder, manifest, plan.audit, title)
        shown = public_report(report, title=title, commitment=committed)
        ledger = public_rows(ledger, [model.name for model in report.models])
    write_text(plan.audit / "report.json", shown.to_json())
    _write_table(ledger, plan.audit / "examples.parquet")
    write_html(shown, ledger, plan.audit / "report.html", images=plan.images, choices=plan.choices)
    write_curve(shown, plan.audit / CURVE, candidate=find_candidate(shown, plan.choices.candidate).name)
    return shown, request


def _write_card(plan: Staging, shown: AuditReport) -> None:
    figures = plan.disclosure is not Disclosure.answers
    curve = f"{plan.layout.audit}/{CURVE}" if plan.layout.own else CURVE
    facts = CardFacts(
        repo_id=plan.repo_id,
        choices=plan.choices,
        custom_architecture=plan.custom_architecture,
        figures=figures,
        audit=plan.layout.audit,
        curve=curve if figures else "",
        relation=plan.relation,
    )
    write_card(shown, plan.target / plan.layout.card, facts)
    write_eval_results(shown, plan.target / plan.layout.results, facts)


def _commitment(folder: Path, manifest: Manifest) -> str:
    if not manifest.salt:
        raise AuditError(
            f"Expected a salt in {MANIFEST}, for the hash of the forget set that is published, found none: an earlier "
            "version made this report. Write it again with `unlearn-audit report`."
        )
    return commitment(Forgotten.read(folder / manifest.request.forget).ids, manifest.salt)


def _write_table(rows: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with replacing(path) as draft:
        pq.write_table(rows, draft, compression="zstd")


def _manifest(plan: Staging, request: AuditRequest, private: Manifest, model: PublishedModel) -> Manifest:
    paths = sorted(p for p in plan.audit.rglob("*") if p.is_file())
    return Manifest(
        request=request,
        inputs=private.inputs if plan.disclosure is Disclosure.everything else {},
        outputs={p.relative_to(plan.audit).as_posix(): sha256(p) for p in paths},
        withheld=WITHHELD[plan.disclosure],
        model=model,
    )


def _without_files(request: AuditRequest, candidate: str) -> AuditRequest:
    """Return a request that names no file, and no model but the candidate."""
    return AuditRequest(
        candidates={candidate: ModelFiles(())},
        references={},
        forget="withheld",
        policy=request.policy,
        title="Unlearning audit",
    )


def _copy_everything(folder: Path, manifest: Manifest, audit: Path) -> AuditRequest:
    """Copy every input into `audit/inputs`, and return the request that names them there."""
    request = manifest.request
    taken: dict[str, str] = {}

    def copied(path: str) -> str:
        if path not in taken:
            taken[path] = f"inputs/{len(taken):02d}-{PurePath(path).name}"
            target = audit / taken[path]
            target.parent.mkdir(exist_ok=True)
            with at_hand(str(placed(folder, path))) as file:
                shutil.copyfile(file, target)
        return taken[path]

    return request.with_files(copied)


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
            write_test_predictions(placed(folder, path), audit / paths[-1], manifest.request.names)
        return dataclasses.replace(files, predictions=tuple(paths), seed=None)

    return dataclasses.replace(
        manifest.request.with_each(cut),
        title=title,
        forget="withheld",
        embeddings=None,
        proximities=None,
        columns=None,
        names=Names(),
        configuration={},
    )
