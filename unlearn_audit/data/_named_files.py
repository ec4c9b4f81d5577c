"""From file names, as a deletion request holds them, to the ids of images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from unlearn_audit.data._file_names import COLUMN
from unlearn_audit.data.images import Images
from unlearn_audit.errors import ForgetSetError


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
