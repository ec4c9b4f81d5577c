"""Names of image files: what a deletion request holds, where the data know ids."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset

COLUMN = "file_name"


def read_file_names(data: Dataset, image_column: str, folder: Path) -> dict[str, np.ndarray]:
    """Return `{"file_name": (n,) str}`, from `folder` on: "train/cat/1.png".

    Nothing where the images do not all lie in the folder as files of their own, as those in Parquet do not.
    """
    rows = data.select_columns([image_column]).with_format("arrow")
    if _path(rows[:1][image_column].to_pylist()[0], folder) is None:  # Parquet, whose bytes are better not read
        return {}
    paths = [_path(item, folder) for item in rows[:][image_column].to_pylist()]
    return {} if None in paths else {COLUMN: np.array(paths, dtype=np.str_)}


def _path(item: object, folder: Path) -> str | None:
    if not isinstance(item, dict) or item.get("bytes") is not None or not item.get("path"):
        return None
    path = PurePath(item["path"])
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None
