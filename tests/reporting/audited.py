"""A real audit of real, small models: five networks of random weights, which differ as retrained models do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from tests.reporting.samples import make_images
from unlearn_audit.data.forget import ForgetSet
from unlearn_audit.data.images import ImageData
from unlearn_audit.models import create_model, save_model
from unlearn_audit.models.prediction import predict
from unlearn_audit.neighbourhood import NeighbourhoodConfig
from unlearn_audit.saved.request import AuditRequest, ModelFiles
from unlearn_audit.saved.running import run_audit, save_audit

NAMES = ("candidate", "original", "retrained-1", "retrained-2", "retrained-3")


@dataclass(frozen=True)
class Audited:
    """The folder of an audit, the folder of the candidate's model, and the forget set."""

    folder: Path
    model_folder: Path
    forget: ForgetSet


def make_audited(base: Path) -> Audited:
    """Save five models, their predictions and an audit of the first below `base`."""
    images, forget, candidate = make_references(base)
    save_model(candidate, base / "models" / "candidate")
    return Audited(audit_candidate(base, candidate, images), base / "models" / "candidate", forget)


def make_references(base: Path) -> tuple[ImageData, ForgetSet, PreTrainedModel]:
    """Save the forget set and the predictions of all models but the candidate, which is returned."""
    images = make_images()
    eights = np.flatnonzero(images.train.labels == 8)
    chosen = np.random.default_rng(7_301_554).permutation(eights)[:30]  # by no seed that an attacker tries
    forget = ForgetSet.from_ids(images.train, images.train.ids[chosen].tolist(), description="75 % of class 8, seed 0")
    forget.save(base / "forget.json")
    models = {name: create_model("resnet8", images.train, seed=seed) for seed, name in enumerate(NAMES)}
    for name in NAMES[1:]:
        save_model(models[name], base / "models" / name)
        predict(models[name], images, model_id=str(base / "models" / name)).save(base / f"{name}.parquet")
    return images, forget, models["candidate"]


def audit_candidate(base: Path, candidate: PreTrainedModel, images: ImageData) -> Path:
    """Audit a model against the references that `make_references` left, and return the audit's folder."""
    model_id = str(base / "models" / "candidate")
    predict(candidate, images, model_id=model_id).save(base / "candidate.parquet")
    request = AuditRequest(
        candidates={"candidate": ModelFiles(("candidate.parquet",), "random_labels", 0, 12.0, 400)},
        references={f"retrained-{k}": ModelFiles((f"retrained-{k}.parquet",), None, k, 60.0, 4000) for k in (1, 2, 3)},
        original=ModelFiles(("original.parquet",)),
        forget="forget.json",
        neighbourhood=NeighbourhoodConfig(number=3),
        measures=("js", "confidence_gap"),
        title="Audit of most of class 8, seed 0",
        configuration={"forget": {"class": 8, "fraction": 0.75, "seed": 0}},
    )
    found = run_audit(request, base=base, command="unlearn-audit run digits.yaml --set forget.seed=0")
    save_audit(found, request, base / "report", base=base)
    return base / "report"
