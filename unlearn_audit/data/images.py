"""Images with stable ids and a fingerprint: from a Hub id, a local folder, or the embedded digits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from unlearn_audit.errors import DataError

_EMBEDDED = "digits"


@dataclass(frozen=True, eq=False)
class Images:
    """The images of one split, decoded.

    Attributes:
        name: of the data set: "digits", a Hub id, or a folder's name.
        split: "train" or "test".
        ids: (n,) str, `f"{split}-{row}"`; they stay the same as long as the data set keeps its order.
        pixels: (n, h, w, 3) uint8 RGB, usually memory-mapped and read-only.
        labels: (n,) int64 in [0, num_classes).
        class_names: one for each label.
        columns: the data set's other columns of integers, class names or short strings, each (n,).
        fingerprint: hexadecimal SHA-256 of the split's pixels, labels and class names, however they are stored.
    """

    name: str
    split: str
    ids: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    fingerprint: str = ""

    def __post_init__(self):
        lengths = {"ids": len(self.ids), "pixels": len(self.pixels), "labels": len(self.labels)}
        lengths |= {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"Images need one id, image and label for each example, not {lengths}.")
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] != 3:
            raise DataError(
                f"Images need uint8 pixels of shape (n, h, w, 3), not {self.pixels.dtype} {self.pixels.shape}."
            )
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", self._content_fingerprint(pixels_sha256(self.pixels)))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_classes(self) -> int:
        """The number of classes, whether or not each has examples."""
        return len(self.class_names)

    def select(self, positions: np.ndarray | slice) -> Images:
        """Return the examples at `positions` (rows, a mask (n,) or a slice); they keep ids and the fingerprint."""
        return replace(
            self,
            ids=self.ids[positions],
            pixels=self.pixels[positions],
            labels=self.labels[positions],
            columns={name: values[positions] for name, values in self.columns.items()},
        )

    def _content_fingerprint(self, pixels_digest: str) -> str:
        header = {"shape": self.pixels.shape, "pixels": pixels_digest, "class_names": self.class_names}
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8"))
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set to train on and to test with; `fingerprint` is of both splits."""

    name: str
    train: Images
    test: Images

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the fingerprints of both splits."""
        return hashlib.sha256(f"{self.train.fingerprint}\n{self.test.fingerprint}".encode()).hexdigest()


def pixels_sha256(pixels: np.ndarray) -> str:
    """Return the hexadecimal SHA-256 of uint8 pixels in C order."""
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


def load_images(source: str | Path) -> ImageData:
    """Load the training and test images of a data set."""
    if source == _EMBEDDED:
        return _load_digits()
    raise DataError(f"Unknown source {source!r}.")


def _load_digits() -> ImageData:
    from unlearn_audit.data._digits import digits

    pixels, labels, is_test = digits()
    splits = {
        split: Images(
            name=_EMBEDDED,
            split=split,
            ids=_ids(split, int(rows.sum())),
            pixels=pixels[rows],
            labels=labels[rows],
            class_names=tuple("0123456789"),
        )
        for split, rows in (("train", ~is_test), ("test", is_test))
    }
    return ImageData(_EMBEDDED, **splits)


def _ids(split: str, n: int) -> np.ndarray:
    return np.array([f"{split}-{row}" for row in range(n)])
