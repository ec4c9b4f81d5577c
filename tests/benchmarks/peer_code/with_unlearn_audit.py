"""This package's part: the same work through its public functions."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from transformers import logging
from work import BATCH, CLASSES, EPOCHS, RATE, Work

from unlearn_audit import ForgetSet, TrainingConfig, audit, create_model, predict, unlearn
from unlearn_audit.data import ImageData, Images
from unlearn_audit.methods.random_labels import RandomLabels

PACKAGES = ("unlearn-audit", "torch", "transformers")
NOTES = {
    "unlearn": "RandomLabels on a stock Trainer",
    "predict": "logits and embeddings of every example, kept",
    "evaluate": "predictions of the unlearned model and the audit: seven measures, ten strata, membership attacks, "
    "controls, three answers against three retrained models, whose predictions are ready",
}


class Tool:
    """Ours, in float32 or with the precision that is chosen by default."""

    def __init__(self, work: Work, precision: str):
        logging.set_verbosity_error()
        self.data = image_data(work)
        self.forget = ForgetSet.from_ids(self.data.train, self.data.train.ids[work.forget].tolist())
        self.config = TrainingConfig(
            epochs=EPOCHS,
            batch_size=BATCH,
            learning_rate=RATE,
            nesterov=False,
            scheduler="constant",
            augment=False,
            precision=precision,
            checkpoints=0,
        )
        self.original = self.model(work, "original")
        ready = {path.stem: predict(self.model(work, path.stem), self.data) for path in work.folder.glob("r*.npz")}
        self.references, self.before = ready, predict(self.original, self.data)

    def model(self, work: Work, name: str) -> Any:
        model = create_model("resnet20", self.data.train, seed=0)
        model.timm_model.load_state_dict(work.network(name).state_dict())
        return model

    def unlearn(self) -> dict[str, float]:
        self.unlearned = copy.deepcopy(self.original)
        method = RandomLabels(retain_share=1.0)
        unlearn(self.unlearned, self.data.train, self.forget, method, self.config, progress=False)
        return {}

    def predict(self) -> dict[str, float]:
        self.predictions = predict(self.unlearned, self.data)
        return {"predictions": len(self.predictions)}

    def evaluate(self) -> dict[str, Any]:
        now = predict(self.unlearned, self.data)
        found = audit({"RL + FT": now}, self.references, self.forget, original=self.before)
        return {"retrained models": len(self.references), "models judged": len(found.report.verdicts)}


def image_data(work: Work) -> ImageData:
    """Return the arrays as this package's data."""

    def images(split: str, pixels: Any, labels: Any) -> Images:
        ids = np.array([f"{split}-{row}" for row in range(len(labels))])
        return Images("peers", split, ids, pixels, labels, tuple(f"class {c}" for c in range(CLASSES)))

    return ImageData(
        "peers", images("train", work.train, work.train_labels), images("test", work.test, work.test_labels)
    )
