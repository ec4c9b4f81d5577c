"""Five deletion requests on digits, one after another: makes the models of each round and what they predict.

Any trainer does; here it is scikit-learn's small network, a fraction of a second a model. For round n, folder `n/` gets
`request.txt`, the unlearned model's predictions, and those of K models retrained without the requests 1 to n. The
unlearned model of a round goes on from that of the round before: fine-tuned on what is retained, which is cheap, and
drifts. Run it in an empty folder: python models.py
"""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from unlearn_audit.predictions import Predictions

ROUNDS, REFERENCES, N_TRAIN = 5, 6, 1200
SIZES = (40, 12, 30, 12, 20)  # examples of each request
EPOCHS, TUNING = 25, 4


def network(seed: int) -> MLPClassifier:
    return MLPClassifier((32,), alpha=1e-3, batch_size=64, learning_rate_init=3e-3, max_iter=EPOCHS, random_state=seed)


def hidden(model: MLPClassifier, images: np.ndarray) -> np.ndarray:
    return np.maximum(images @ model.coefs_[0] + model.intercepts_[0], 0)


def save(model: MLPClassifier, path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write logits and embeddings of all examples."""
    embeddings = hidden(model, images)
    test = np.arange(len(labels)) >= N_TRAIN
    path.parent.mkdir(parents=True, exist_ok=True)
    Predictions(
        example_ids=np.array([f"digit-{i}" for i in range(len(labels))]),
        splits=np.where(test, "test", "train"),
        labels=labels,
        logits=(embeddings @ model.coefs_[1] + model.intercepts_[1]).astype(np.float32),
        embeddings=embeddings.astype(np.float32),
        metadata={"model_id": path.stem, "data": "digits"},
    ).save(path)


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is chosen
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    chosen = np.random.default_rng(0).permutation(N_TRAIN)[: sum(SIZES)]
    kept = np.arange(N_TRAIN)
    unlearned = network(0).fit(images[kept], labels[kept])
    save(unlearned, Path("original.parquet"), images, labels)
    for number, asked in enumerate(np.split(chosen, np.cumsum(SIZES)[:-1]), start=1):
        folder = Path(str(number))
        kept = np.setdiff1d(kept, asked)
        unlearned = copy.deepcopy(unlearned)
        for _ in range(TUNING):
            unlearned.partial_fit(images[kept], labels[kept])
        save(unlearned, folder / "unlearned.parquet", images, labels)
        for k in range(REFERENCES):
            retrained = network(100 * number + k).fit(images[kept], labels[kept])
            save(retrained, folder / f"retrained-{k}.parquet", images, labels)
        (folder / "request.txt").write_text("\n".join(f"digit-{i}" for i in asked) + "\n")


if __name__ == "__main__":
    main()
