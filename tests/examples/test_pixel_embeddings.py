"""The example that puts pixels in place of the original's embeddings."""

import numpy as np
import pyarrow.parquet as pq

from examples.pixel_embeddings import embed, main
from tests.tiny import tiny_images
from unlearn_audit import load_images


def test_images_are_averaged_by_colour():
    images = tiny_images(6, size=16)
    expected = images.pixels.reshape(6, 8, 2, 8, 2, 3).mean(axis=(2, 4))  # (n, 8, 8, 3)
    np.testing.assert_allclose(embed(images), expected.transpose(0, 3, 1, 2).reshape(6, -1), rtol=1e-6)


def test_the_file_has_a_centred_row_an_example(tmp_path):
    main("digits", str(tmp_path / "pixels.parquet"))
    table = pq.read_table(tmp_path / "pixels.parquet")
    data = load_images("digits")
    assert table.column("example_id").to_pylist() == [*data.train.ids, *data.test.ids]
    vectors = np.array(table.column("embedding").to_pylist())
    assert vectors.shape == (1797, 192)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-3)
