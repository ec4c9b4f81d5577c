"""Audit machine unlearning: how far an unlearned model is from retrained ones, by proximity to the forget set.

The names below are imported when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearn_audit._lazy import lazy

if TYPE_CHECKING:
    from unlearn_audit.auditing.policy import Policy as Policy
    from unlearn_audit.auditing.report import AuditReport as AuditReport
    from unlearn_audit.data import ForgetSet as ForgetSet
    from unlearn_audit.data import load_images as load_images
    from unlearn_audit.door import audit as audit
    from unlearn_audit.models import create_model as create_model
    from unlearn_audit.models import load_model as load_model
    from unlearn_audit.models import predict as predict
    from unlearn_audit.models import save_model as save_model
    from unlearn_audit.planning import plan as plan
    from unlearn_audit.predictions import Predictions as Predictions
    from unlearn_audit.publishing import push as push
    from unlearn_audit.saved.verify import verify as verify
    from unlearn_audit.training import TrainingConfig as TrainingConfig
    from unlearn_audit.training import fit as fit
    from unlearn_audit.training import unlearn as unlearn

__version__ = "0.1.0"

_HOMES = {
    "AuditReport": "auditing.report",
    "ForgetSet": "data",
    "Policy": "auditing.policy",
    "Predictions": "predictions",
    "TrainingConfig": "training",
    "audit": "door",
    "create_model": "models",
    "fit": "training",
    "load_images": "data",
    "load_model": "models",
    "plan": "planning",
    "predict": "models",
    "push": "publishing",
    "save_model": "models",
    "unlearn": "training",
    "verify": "saved.verify",
}
__all__ = [
    "AuditReport",
    "ForgetSet",
    "Policy",
    "Predictions",
    "TrainingConfig",
    "audit",
    "create_model",
    "fit",
    "load_images",
    "load_model",
    "plan",
    "predict",
    "push",
    "save_model",
    "unlearn",
    "verify",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
