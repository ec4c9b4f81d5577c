"""Names of image files: what a deletion request holds, where the data know ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from unlearn_audit.errors import ForgetSetError

if TYPE_CHECKING:
    from datasets import Dataset

    from unlearn_audit.data.images import Images

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


def ids_of_files(names: Sequence[str], images: Images) -> list[str]:
    """Return the names, those of files replaced by the ids of their images; what is no such file stays.

    A file is named by its path or by as much of its end as no other file shares: "train/cat/1.png", "cat/1.png",
    "1.png". Folders before the path, as in "/data/pets/train/cat/1.png", do no harm.

    Raises:
        ForgetSetError: for a name that several files have.
    """
    if COLUMN not in images.columns:
        return list(names)
    wanted = _by_last_part(set(names) - set(images.ids.tolist()))
    found: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(images.columns[COLUMN].tolist()):
        for name, parts in wanted.get(path.rpartition("/")[2], ()):
            if _same_end(parts, PurePosixPath(path).parts):
                found[name].append(row)
    for name, rows in found.items():
        if len(rows) > 1:
            shown = " and ".join(images.columns[COLUMN][rows[:2]].tolist())
            raise ForgetSetError(
                f"{len(rows)} training images of {images.name} are named {name!r}, for example {shown}. "
                "Write more of the path."
            )
    return [str(images.ids[found[name][0]]) if name in found else name for name in names]


def _by_last_part(names: set[str]) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    parts = {name: PurePosixPath(name.replace("\\", "/")).parts for name in names if name.strip()}
    by_last: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for name, split in parts.items():
        if split:
            by_last[split[-1]].append((name, split))
    return by_last


def _same_end(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]
