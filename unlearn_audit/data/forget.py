"""Which training examples are to be forgotten, bound to the data they were chosen from."""

from __future__ import annotations

import hashlib
import json
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_audit.data._file_names import COLUMN
from unlearn_audit.data._named_files import ids_of_files
from unlearn_audit.data.images import Images
from unlearn_audit.errors import ForgetSetError, did_you_mean
from unlearn_audit.files import write_text
from unlearn_audit.id_files import read_ids

_OFFENDERS_SHOWN = 5


@dataclass(frozen=True)
class ForgetSet:
    """The training examples whose deletion was asked for.

    Make one with `by_class`, `random`, `from_ids` or `from_file`, which all raise `ForgetSetError` when it
    would be empty or everything, or when ids repeat or are unknown.

    Attributes:
        ids: of the examples, in the order of the data.
        data_fingerprint: of the training images that they were chosen from.
        description: in words, for example "50 % of class 8, seed 0".
    """

    ids: tuple[str, ...]
    data_fingerprint: str
    description: str

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def hash(self) -> str:
        """Hexadecimal SHA-256 over the data's fingerprint and the ids."""
        return hashlib.sha256("\n".join([self.data_fingerprint, *self.ids]).encode()).hexdigest()

    @classmethod
    def by_class(
        cls, images: Images, label: int | str, *, fraction: float = 1.0, seed: int = 0, atypical: bool = False
    ) -> ForgetSet:
        """Choose a random `fraction` in (0, 1] of one class, given by its index or its name.

        With `atypical`, they are not drawn but the least typical of the class: those that lie nearest to another class
        for their distance to their own, in pixels. Models recognise such examples by memory (Feldman 2020,
        arXiv 1906.05271), so that forgetting them can be seen.
        """
        index = _class_index(images, label)
        candidates = np.flatnonzero(np.asarray(images.labels) == index)
        class_name = f"class {images.class_names[index]}"
        if not len(candidates):
            raise ForgetSetError(f"The training images of {images.name} hold no example of {class_name}.")
        what = f"the {len(candidates)} examples of {class_name}"
        if atypical:
            rows = _least_typical(images, candidates, _size(len(candidates), fraction, what))
            return cls._of_rows(images, rows, f"the least typical {100 * fraction:g} % of {class_name}")
        rows = _draw(candidates, fraction, seed=seed, what=what)
        return cls._of_rows(images, rows, _describe(fraction, class_name, seed))

    @classmethod
    def random(cls, images: Images, *, fraction: float, seed: int = 0) -> ForgetSet:
        """Choose a random `fraction` in (0, 1) of all training images."""
        rows = _draw(np.arange(len(images)), fraction, seed=seed, what=f"{len(images)} examples")
        return cls._of_rows(images, rows, _describe(fraction, "all training examples", seed))

    @classmethod
    def from_ids(cls, images: Images, ids: Iterable[str], *, description: str | None = None) -> ForgetSet:
        """Take the examples with these ids, in any order; `description` defaults to their number.

        Images in a local folder may be given by file name too: by the path, or the part of its end that no other
        training image shares ("train/cat/1.png", "cat/1.png" or "1.png").
        """
        ids = _checked_ids(ids, images)
        row_of = {example: row for row, example in enumerate(images.ids.tolist())}
        _refuse(
            (i for i in ids if i not in row_of), f"not among the training images of {images.name}, {_known(images)}"
        )
        rows = np.sort(np.array([row_of[i] for i in ids], dtype=np.int64))
        return cls._of_rows(images, rows, description or f"{len(ids)} examples given by id")

    @classmethod
    def from_file(cls, images: Images, path: str | Path) -> ForgetSet:
        """Take the examples whose ids or file names a file lists, as `from_ids` takes them.

        A `.txt` file holds one id a line. A `.csv` or `.parquet` file holds them in the column `example_id`
        or `id`, or in its only column (a `.csv` of one column then has no header). A `.json` file holds a
        list, or is a forget set that `save` wrote, which is then verified as `load` does.
        """
        path = Path(path)
        content = read_ids(path)
        if isinstance(content, dict):
            return cls._verified(content, images, path)
        return cls.from_ids(images, content, description=f"{len(content)} examples listed in {path.name}")

    @classmethod
    def by_column(
        cls, images: Images, column: str, values: Iterable[str], *, description: str | None = None
    ) -> ForgetSet:
        """Take all examples whose value in a column of the data is among `values`: all photos of some customers.

        Raises:
            ForgetSetError: where the data have no such column, or none of their examples has one of the values.
        """
        if column not in images.columns:
            raise ForgetSetError(
                f"The training images of {images.name} have no column {column!r}.{did_you_mean(column, images.columns)}"
            )
        asked, own = list(dict.fromkeys(map(str, values))), images.columns[column].astype(str)
        _refuse((value for value in asked if value not in set(own.tolist())), f"no {column} in {images.name}")
        rows = np.flatnonzero(np.isin(own, asked))
        if not len(rows):
            raise ForgetSetError("The forget set is empty; give at least one value.")
        return cls._of_rows(images, rows, description or f"{len(rows)} examples of {len(asked)} values of {column}")

    def mask(self, images: Images) -> np.ndarray:
        """Return (n,) bool: which of the training images (or of a selection of them) are to be forgotten."""
        if images.fingerprint != self.data_fingerprint:
            raise ForgetSetError(_other_data(self.data_fingerprint, images))
        chosen = frozenset(self.ids)
        return np.fromiter((i in chosen for i in images.ids.tolist()), dtype=bool, count=len(images))

    def save(self, path: str | Path) -> None:
        """Write it as JSON, with the data's fingerprint and its own hash; parent folders are made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "description": self.description,
            "data_fingerprint": self.data_fingerprint,
            "hash": self.hash,
            "ids": self.ids,
        }
        write_text(path, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path, images: Images) -> ForgetSet:
        """Read what `save` wrote; raises `ForgetSetError` if it was altered or made for other data."""
        content = read_ids(Path(path))
        if not isinstance(content, dict):
            raise ForgetSetError(f"{path} lists ids but is no saved forget set; read it with ForgetSet.from_file.")
        return cls._verified(content, images, Path(path))

    @classmethod
    def _verified(cls, content: dict[str, Any], images: Images, path: Path) -> ForgetSet:
        missing = {"ids", "data_fingerprint", "description", "hash"} - content.keys()
        if missing:
            raise ForgetSetError(f"{path} is no saved forget set: it lacks {', '.join(sorted(missing))}.")
        if not isinstance(content["ids"], list):
            raise ForgetSetError(f"{path} is no saved forget set: its ids are {content['ids']!r:.40}, not a list.")
        if content["data_fingerprint"] != images.fingerprint:
            raise ForgetSetError(f"{path}: {_other_data(content['data_fingerprint'], images)}")
        forget = cls.from_ids(images, content["ids"], description=content["description"])
        if forget.hash != content["hash"]:
            raise ForgetSetError(
                f"{path} was altered: its ids give the hash {forget.hash[:12]}…, but it states "
                f"{str(content['hash'])[:12]}…. Make the forget set again, or restore the file."
            )
        return forget

    @classmethod
    def _of_rows(cls, images: Images, rows: np.ndarray, description: str) -> ForgetSet:
        if len(rows) == len(images):
            raise ForgetSetError(f"The forget set would be all {len(images)} training examples; leave some to retain.")
        return cls(tuple(images.ids[rows].tolist()), images.fingerprint, description)


def _class_index(images: Images, label: int | str) -> int:
    if isinstance(label, str):
        if label not in images.class_names:
            raise ForgetSetError(f"{images.name} has no class {label!r}.{did_you_mean(label, images.class_names)}")
        return images.class_names.index(label)
    index = operator.index(label)
    if not 0 <= index < images.num_classes:
        raise ForgetSetError(
            f"{images.name} has classes 0 to {images.num_classes - 1}, not {index}; give one of them or a class name."
        )
    return index


def _draw(candidates: np.ndarray, fraction: float, *, seed: int, what: str) -> np.ndarray:
    return draw(candidates, _size(len(candidates), fraction, what), seed=seed)


def draw(candidates: np.ndarray, size: int, *, seed: int) -> np.ndarray:
    """Return `size` of the rows (n,), in order: those that `by_class` and `random` choose by this seed."""
    return np.sort(np.random.default_rng(seed).choice(candidates, size, replace=False))


def _size(count: int, fraction: float, what: str) -> int:
    """Return how many of `count` examples a fraction is."""
    if not 0 < fraction <= 1:
        raise ForgetSetError(f"The fraction to forget must be above 0 and at most 1, not {fraction}.")
    size = int(fraction * count + 0.5)
    if size == 0:
        raise ForgetSetError(f"A fraction of {fraction} of {what} is no example; choose a larger fraction.")
    return size


def _least_typical(images: Images, rows: np.ndarray, size: int) -> np.ndarray:
    """Return the `size` rows of one class that are nearest to other classes for their distance to their own."""
    from sklearn.metrics import pairwise_distances_argmin_min
    from sklearn.neighbors import NearestNeighbors

    others = np.setdiff1d(np.arange(len(images)), rows)
    if len(rows) < 2 or not len(others):
        raise ForgetSetError("Expected a class of at least two examples, and another class, to tell who is atypical.")
    pixels = np.asarray(images.pixels, np.float32).reshape(len(images), -1)
    own = NearestNeighbors(n_neighbors=2).fit(pixels[rows]).kneighbors(pixels[rows])[0][:, 1]
    _, other = pairwise_distances_argmin_min(pixels[rows], pixels[others])
    ratio = own / np.maximum(other, 1e-12)
    return np.sort(rows[np.argsort(-ratio, kind="stable")[:size]])


def _describe(fraction: float, of: str, seed: int) -> str:
    return f"all of {of}" if fraction == 1 else f"{100 * fraction:g} % of {of}, seed {seed}"


def _checked_ids(ids: Iterable[str], images: Images) -> list[str]:
    if isinstance(ids, str):
        raise ForgetSetError(f"Expected several ids, not the single string {ids!r}.")
    ids = [i.item() if isinstance(i, np.generic) else i for i in ids]
    if not ids:
        raise ForgetSetError("The forget set is empty; give at least one id.")
    if any(not isinstance(i, str) for i in ids):
        offender = next(i for i in ids if not isinstance(i, str))
        raise ForgetSetError(f"Ids are strings such as {str(images.ids[0])!r}, not {offender!r}.")
    ids = ids_of_files(ids, images)
    _refuse((i for i, count in Counter(ids).items() if count > 1), "given more than once")
    return ids


def _known(images: Images) -> str:
    files = f" or {str(images.columns[COLUMN][0])!r}" if COLUMN in images.columns else ""
    return f"which are known as {str(images.ids[0])!r}{files}"


def _refuse(offenders: Iterable[str], why: str) -> None:
    offenders = list(offenders)
    if offenders:
        shown = ", ".join(map(repr, offenders[:_OFFENDERS_SHOWN]))
        more = f" and {len(offenders) - _OFFENDERS_SHOWN} more" if len(offenders) > _OFFENDERS_SHOWN else ""
        raise ForgetSetError(f"{len(offenders)} of the ids to forget are {why}: {shown}{more}.")


def _other_data(fingerprint: str, images: Images) -> str:
    return (
        f"This forget set was made for data with fingerprint {str(fingerprint)[:12]}…, but the "
        f"{images.split} images of {images.name} have {images.fingerprint[:12]}…. "
        "Give the images it was made for, or make it again."
    )
