"""One reference of a study, trained again: is the report's among what its recipe makes?

The report keeps the study's configuration. On the same machine the same recipe gives the same weights. Where it does
not, the new model poses as the candidate among the report's references, as each of them does in every audit: a new
model that the others refute says that these were not made as the report says.
"""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.controls import Control
from unlearn_audit.auditing.models import AuditedModel
from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.errors import ConfigurationError, DataError, did_you_mean
from unlearn_audit.experiment.config import read_study
from unlearn_audit.experiment.stages import Progress
from unlearn_audit.experiment.stages.audit import REFERENCE, STUDY
from unlearn_audit.experiment.stages.given import Given
from unlearn_audit.experiment.stages.predictions import ModelPredictions
from unlearn_audit.experiment.study import Study
from unlearn_audit.predictions import Predictions
from unlearn_audit.saved.manifest import read_manifest
from unlearn_audit.saved.running import read_neighbourhood, read_subject

ANY = "one"


@dataclass(frozen=True)
class SpotCheck:
    """What training a reference again showed.

    Attributes:
        reference: its name.
        same_weights: whether the weights are the report's, to the last bit.
        agrees: whether the report's references are what their recipe makes, as far as this shows.
        sentence: what was found.
    """

    reference: str
    same_weights: bool
    agrees: bool
    sentence: str


def spot_check(
    report: str | Path, which: str = ANY, *, data: str | None = None, progress: Progress | None = None
) -> SpotCheck:
    """Train one reference of a study's report again, in a folder that is removed, and compare it with the report's.

    Args:
        report: its folder.
        which: the name of a reference; "one" draws one that nobody can foresee.
        data: where the data are on this machine, if not where the configuration says.
        progress: is told how training goes.

    Raises:
        ConfigurationError: where the report keeps no configuration, or there is no such reference.
        DataError: where data or forget set are not those of the report.
    """
    folder = Path(report).resolve()
    saved = AuditReport.load(folder)
    if not (folder / STUDY).is_file():
        raise ConfigurationError(
            f"Expected a study's report, which keeps {STUDY} to train a reference again by, and {folder.name!r} has "
            "none. Ask who made the references how they are made."
        )
    config = read_study(folder / STUDY, settings=[] if data is None else [f"data.source={data}"])
    with TemporaryDirectory() as again:
        study = Study.plan(config, Path(again) / "again")
        stage = _chosen(study, which)
        _check_inputs(stage, study, saved)
        study.run(only=stage.name, progress=progress)
        found = Predictions.load(study.store.folder(stage) / "predictions.parquet")
    return compared(folder, stage.model.name, found)


def _chosen(study: Study, which: str) -> ModelPredictions:
    """Return the stage of the predictions of a reference that can be made again."""
    made = {
        stage.model.name: stage
        for stage in study.stages
        if isinstance(stage, ModelPredictions)
        and stage.model.name.startswith(f"{REFERENCE}-")
        and not isinstance(stage.model, Given)
    }
    if which == ANY and made:
        return made[secrets.choice(sorted(made))]
    if which not in made:
        raise ConfigurationError(
            f"Expected a reference that the study trains, or {ANY!r}, got {which!r}.{did_you_mean(which, made)}"
        )
    return made[which]


def _check_inputs(stage: ModelPredictions, study: Study, saved: AuditReport) -> None:
    forget = study.config.forget.choose(stage.data.load().train)
    for what, found, said in (
        ("data", stage.data.fingerprint, saved.data.fingerprint),
        ("forget set", forget.hash, saved.forget_set.hash),
    ):
        if found != said:
            raise DataError(
                f"Expected the {what} of the report ({said[:12]}…), found another ({found[:12]}…), so no reference can "
                "be made as it was. Give the data with --data."
            )


def compared(report: str | Path, name: str, found: Predictions) -> SpotCheck:
    """Compare the predictions of a reference that was trained again with those of a report's references."""
    folder, saved = Path(report), AuditReport.load(report)
    hashed = found.metadata.get("weights_hash", "")
    if hashed and hashed == saved.model(name).weights_hash:
        return SpotCheck(name, True, True, f"{name} was trained again, with the same weights to the last bit")
    control = _posing(folder, f"{name} again", found)
    other = f"{name} was trained again, with other weights, as on another machine"
    if control.behaves:
        return SpotCheck(name, False, True, f"{other}; among the references nothing refutes it ({control.observed})")
    return SpotCheck(name, False, False, f"{other}, and the report's references refute it: {control.reason}")


def _posing(folder: Path, name: str, again: Predictions) -> Control:
    """Let the new model pose as the candidate against the report's references."""
    request = read_manifest(folder).request
    subject = read_subject(request, folder)
    subject = dataclasses.replace(
        subject,
        references={**subject.references, name: AuditedModel((again,))},
        candidates=dict(list(subject.candidates.items())[:1]),
    )
    neighbourhood = read_neighbourhood(request, subject, folder)
    found = audit_subject(subject, neighbourhood, request.policy, measures=[request.policy.measure])
    controls = found.report.controls
    return next(control for control in (controls.rows if controls else ()) if control.name == name)
