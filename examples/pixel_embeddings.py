"""Proximity in the space of pixels instead of the original model's embeddings.

For whoever doubts that neighbourhoods should come from the audited model itself. Writes a file of embeddings, images
averaged to 8 x 8 pixels, which `audit` takes in place of the original's own:

    python examples/pixel_embeddings.py uoft-cs/cifar100 pixels.parquet
    unlearn-audit audit ... --embeddings pixels.parquet --set neighbourhood.embedding="pixels, 8 x 8"

It takes a few seconds for CIFAR-100. Any other embedding, CLIP's for example, is written in the same way.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F

from unlearn_audit import load_images
from unlearn_audit.data import Images

SIDE = 8


def embed(images: Images) -> np.ndarray:
    """Return the images as centred vectors (n, 3 * 8 * 8) of mean colours."""
    batches = torch.tensor(np.asarray(images.pixels)).split(4096)  # (n, h, w, 3) uint8
    small = [F.adaptive_avg_pool2d(batch.permute(0, 3, 1, 2).float(), SIDE).flatten(1) for batch in batches]
    return torch.cat(small).numpy()


def main(source: str, target: str, train_split: str = "train") -> None:
    """Embed the training and test images of `source` and write the Parquet file `target`."""
    data = load_images(source, train_split=train_split)
    vectors = np.concatenate([embed(data.train), embed(data.test)])
    vectors -= vectors.mean(axis=0)  # else every cosine is near 1
    ids = np.concatenate([data.train.ids, data.test.ids])
    embeddings = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    pq.write_table(pa.table({"example_id": ids.tolist(), "embedding": embeddings}), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
