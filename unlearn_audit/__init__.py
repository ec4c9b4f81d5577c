"""Audit machine unlearning: how far an unlearned model is from retrained ones, by proximity to the forget set.

The names below are imported when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from unlearn_audit._lazy import lazy

__version__ = "0.1.0"

_HOMES = {
    "AuditReport": "auditing.report",
    "AuditRequest": "saved.folder",
    "AuditSubject": "auditing.models",
    "AuditedModel": "auditing.models",
    "ForgetSet": "data",
    "ImageData": "data",
    "Images": "data",
    "ModelFiles": "saved.folder",
    "NeighbourhoodConfig": "neighbourhood",
    "Policy": "auditing.verdict",
    "Predictions": "predictions",
    "TrainingConfig": "training",
    "create_model": "models",
    "fit": "training",
    "load_images": "data",
    "load_model": "models",
    "predict": "models",
    "run_audit": "saved.folder",
    "save_audit": "saved.folder",
    "save_model": "models",
    "training_examples": "training",
    "unlearn": "training",
    "verify": "saved.verify",
}
__all__ = [
    "AuditReport",
    "AuditRequest",
    "AuditSubject",
    "AuditedModel",
    "ForgetSet",
    "ImageData",
    "Images",
    "ModelFiles",
    "NeighbourhoodConfig",
    "Policy",
    "Predictions",
    "TrainingConfig",
    "create_model",
    "fit",
    "load_images",
    "load_model",
    "predict",
    "run_audit",
    "save_audit",
    "save_model",
    "training_examples",
    "unlearn",
    "verify",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
