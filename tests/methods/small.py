"""Options that make a method cheap enough for a test of all methods; a method without an entry runs as it is."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from typing import Any

from tests.tiny import tiny_images, tiny_resnet
from unlearn_audit.models import save_model

_FOLDER = tempfile.TemporaryDirectory()
atexit.register(_FOLDER.cleanup)
ORACLE = Path(_FOLDER.name) / "oracle"
_oracle = tiny_resnet(tiny_images(), seed=5)
_oracle.timm_model.fc.weight.data.mul_(30)  # it says something, as a trained model does
save_model(_oracle, ORACLE)

SMALL: dict[str, dict[str, Any]] = {
    "anchored_local_distillation": {"n_support": 16, "teacher_epochs": 1, "retain_share": 0.5},
    "local_teacher_distillation": {"n_support": 16, "teacher_epochs": 1},
    "local_teacher_knn": {"n_support": 16},
    "amun": {"attack_steps": 5},
    "fisher_forgetting": {"samples": 16},
    "influence": {"samples": 16},
    "jit": {"noises": 2},
    "lotus": {"unseen_accuracy": 0.5, "retain_share": 24 / 56},  # with the 8 of the forget set, whole micro-batches
    "oracle_matching": {"oracle": str(ORACLE)},
    "scrub_rewind": {"rewind_to": 0.5, "max_epochs": 1},
    "unsir": {"partial": True, "noises": 4, "noise_steps": 5},
}
