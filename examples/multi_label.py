"""Audit a multi-label model, an output at a time: three yes-or-no questions about each digit, answered by one network.

The network is scikit-learn's, so it also shows what to do with a model outside transformers. Half of the eights are
forgotten by retraining without them, and the untouched original is put to the audit.

    python examples/multi_label.py
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from unlearn_audit import audit
from unlearn_audit.models import per_output
from unlearn_audit.neighbourhood import NeighbourhoodConfig

OUTPUTS = {"even": (0, 2, 4, 6, 8), "has a loop": (0, 6, 8, 9), "above four": (5, 6, 7, 8, 9)}

pixels, digits = load_digits(return_X_y=True)
pixels = pixels / 16
labels = np.stack([np.isin(digits, members) for members in OUTPUTS.values()], axis=1).astype(int)  # (n, 3)
ids = np.array([f"digit-{row}" for row in range(len(digits))])
splits = np.where(np.arange(len(digits)) % 5 == 0, "test", "train")
is_forget = (digits == 8) & (splits == "train") & (np.arange(len(digits)) % 2 == 0)


def model(rows, seed):
    """Return, for each output, the predictions of a network trained on some rows."""
    network = MLPClassifier((32,), max_iter=60, tol=1e-3, random_state=seed).fit(pixels[rows], labels[rows])
    yes = np.clip(network.predict_proba(pixels), 1e-6, 1 - 1e-6)  # (n, 3)
    return per_output(np.log(yes / (1 - yes)), labels, example_ids=ids, splits=splits, names=OUTPUTS, embeddings=pixels)


original = model(splits == "train", seed=0)
retrained = [model((splits == "train") & ~is_forget, seed) for seed in (1, 2, 3, 4)]
for name in OUTPUTS:
    found = audit(
        candidates={"untouched": original[name]},  # yours: the model after unlearning
        references=[reference[name] for reference in retrained],
        forget=ids[is_forget].tolist(),
        original=original[name],
        neighbourhood=NeighbourhoodConfig(number=4),
        class_names=("no", name),
        title=name,
    )
    print(found)
