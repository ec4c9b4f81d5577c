"""What attacks on a publication are given: what is staged, what anyone can compute, and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.auditing.neighbours import NeighbourSource, embeddings_of
from unlearn_audit.auditing.report import AuditReport, ModelRecord
from unlearn_audit.populations import FORGET, POPULATIONS
from unlearn_audit.predictions import PredictionSource, open_predictions
from unlearn_audit.publishing.attacks import Target
from unlearn_audit.publishing.attacks._exposure import Space
from unlearn_audit.publishing.staging import Disclosure, Staging
from unlearn_audit.remote.sources import placed
from unlearn_audit.reporting.ledger import Ledger, read_ledger
from unlearn_audit.saved.manifest import read_manifest

if TYPE_CHECKING:
    from unlearn_audit.saved.request import AuditRequest, ModelFiles

TRAIN = "train"


def target_of(plan: Staging, report: AuditReport, record: ModelRecord, commitment: str) -> Target:
    """Return what attacks are given on what was staged, from the whole audit that stays here."""
    ledger = Ledger.of(read_ledger(plan.folder))
    train = ledger["split"] == TRAIN
    models = [record.name, *(model.name for model in report.by_role("original"))]
    columns = {name: (ledger[f"{name}.top1"], ledger[f"{name}.confidence"]) for name in models}
    figures = plan.disclosure is Disclosure.figures
    return Target(
        folder=plan.target,
        report=AuditReport.load(plan.audit) if figures else None,
        rows=read_ledger(plan.audit) if figures else None,
        commitment=commitment,
        linked=plan.linked,
        candidate=record.name,
        fingerprint=report.data.fingerprint,
        ids=ledger["example_id"][train],
        labels=ledger["label"][train],
        is_forget=ledger["population"][train] == POPULATIONS[FORGET],
        correct={name: (top1 == ledger["label"])[train] for name, (top1, _) in columns.items()},
        confidence={name: confidence[train] for name, (_, confidence) in columns.items()},
        space=_space(plan, ledger, train) if figures else None,
    )


def _space(plan: Staging, ledger: Ledger, train: np.ndarray) -> Space | None:
    """Return the embeddings by which proximities were measured; None where there were none."""
    request: AuditRequest = read_manifest(plan.folder).request
    if request.proximities is not None:
        return None

    def opened(model: ModelFiles) -> PredictionSource:
        return open_predictions(placed(plan.folder, model.predictions[0]), request.names)

    first = opened(next(iter(request.references.values())))
    original = None if request.original is None else opened(request.original)
    file = request.embeddings
    source = None if file is None else NeighbourSource(plan.folder / file, "embedding", request.names)
    reader, _ = embeddings_of(first, original, source)
    found = None if reader is None else reader.whole()
    return None if found is None else Space(found[train], found[~train], ledger["example_id"][~train])
