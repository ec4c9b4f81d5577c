"""What one test trained is there for the others, also for those in other processes of the same run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from unlearn_audit.auditing.report import AuditReport
from unlearn_audit.experiment import Study
from unlearn_audit.experiment.config import StudyConfig
from unlearn_audit.experiment.stages import stage_named


def audit_of(config: StudyConfig, folder: Path) -> AuditReport:
    """Run a study up to its audit, in a folder that it shares with other studies.

    A study's stages are kept by their inputs and locked while they are made, so that studies with the same original or
    retrained models train them once. The audit is read from its own stage: `folder / "report"` is whose came last.
    """
    study = Study.plan(_without_checkpoints(config), folder)
    study.run(only="audit")
    return AuditReport.load(study.store.folder(stage_named(study.stages, "audit")) / "report")


def _without_checkpoints(config: StudyConfig) -> StudyConfig:
    """Return the same study, whose trainings write no checkpoints on the way: nobody goes on from them."""
    methods = {label: _unsaved(method) for label, method in config.methods.items()}
    return dataclasses.replace(_unsaved(config), methods=methods)


def _unsaved(value):
    return dataclasses.replace(value, training=dataclasses.replace(value.training, checkpoints=0))
