"""Examples that are there more than once: whoever deletes one copy of two has deleted nothing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unlearn_audit.data.forget import ForgetSet
from unlearn_audit.data.images import Images

NEAR = 0.995  # cosine of two embeddings, from which on two images are worth a person's look


@dataclass(frozen=True)
class Duplicate:
    """A forgotten example, and another one that is the same image, or nearly.

    Attributes:
        forgotten: id of the forgotten example.
        other: id of the other.
        split: of the other: "train", where it is retained, or "test".
        similarity: 1.0 for the same pixels, else the cosine of their embeddings.
    """

    forgotten: str
    other: str
    split: str
    similarity: float


def content_hashes(images: Images) -> np.ndarray:
    """Return a SHA-256, in hex, over the decoded pixels of each image (n,)."""
    shape = str(images.pixels.shape[1:]).encode()
    return np.array(
        [hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).hexdigest() for image in images.pixels]
    )


def exact_duplicates(forget: ForgetSet, train: Images, *others: Images) -> list[Duplicate]:
    """Return which examples that stay have the very pixels of a forgotten one.

    Args:
        forget: the forget set.
        train: the training images that it was chosen from.
        others: further splits to look through.
    """
    gone = forget.mask(train)
    by_content: dict[str, str] = {}
    for example, digest in zip(train.ids[gone].tolist(), content_hashes(train.select(gone)).tolist(), strict=True):
        by_content.setdefault(digest, example)
    return [
        Duplicate(by_content[digest], example, images.split, 1.0)
        for images in (train.select(~gone), *others)
        for example, digest in zip(images.ids.tolist(), content_hashes(images).tolist(), strict=True)
        if digest in by_content
    ]


def near_duplicates(
    embeddings: np.ndarray, ids: Sequence[str], splits: Sequence[str], is_forget: np.ndarray, *, at_least: float = NEAR
) -> list[Duplicate]:
    """Return which examples that stay lie next to a forgotten one in an embedding, the nearest first.

    Args:
        embeddings: (n, d) of any model; the original's are at hand.
        ids: (n,) of the examples.
        splits: (n,) "train" or "test".
        is_forget: (n,) bool.
        at_least: cosine from which on two are near.
    """
    from unlearn_audit.proximities import nearest

    found: dict[int, list[Duplicate]] = defaultdict(list)
    cosine, index = nearest(embeddings[~is_forget], embeddings[is_forget], k=1)
    forgotten, rows = np.asarray(ids)[is_forget], np.flatnonzero(~is_forget)
    for place in np.flatnonzero(cosine[:, 0] >= at_least):
        row = int(rows[place])
        found[row].append(
            Duplicate(str(forgotten[index[place, 0]]), str(ids[row]), str(splits[row]), float(cosine[place, 0]))
        )
    return sorted((item for items in found.values() for item in items), key=lambda item: -item.similarity)
