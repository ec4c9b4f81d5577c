"""The embedded default: the 1,797 handwritten digits that scikit-learn's wheel ships."""

from __future__ import annotations

import numpy as np

_TEST_EVERY = 5  # of each class, every fifth example is a test example: no generator whose stream could change


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels (1797, 8, 8, 3) uint8, labels (1797,) int64, and is_test (1797,) bool.

    The file's grey levels 0 to 16 are scaled to 0 to 255 and repeated over three channels. In the order of
    the file, the first, sixth, eleventh … example of each class is a test example.
    """
    from sklearn.datasets import load_digits

    file = load_digits()
    grey = np.rint(file.images * (255 / 16)).astype(np.uint8)  # (n, 8, 8)
    labels = file.target.astype(np.int64)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        is_test[np.flatnonzero(labels == label)[::_TEST_EVERY]] = True
    return np.repeat(grey[..., None], 3, axis=3), labels, is_test
