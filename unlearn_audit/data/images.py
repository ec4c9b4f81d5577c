"""Images with stable ids and a fingerprint: from a Hub id, a local folder, or the embedded digits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.data import _columns
from unlearn_audit.data._cache import cached_pixels, default_cache_dir
from unlearn_audit.data._file_names import read_file_names
from unlearn_audit.data._own_ids import own_ids
from unlearn_audit.data._processing import Fit, fit_of
from unlearn_audit.data._source import open_splits
from unlearn_audit.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset

_EMBEDDED = "digits"
_CACHE_VERSION = 1  # raise it when the same image would decode to other pixels
_BATCH = 1000  # images decoded before they are written


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
        columns: the data set's other columns of integers, class names or short strings, each (n,). Images that lie
            in a local folder as files have the column "file_name" too: "train/cat/1.png".
        fingerprint: hexadecimal SHA-256 of the split's pixels, labels and class names, however stored.
        flips: whether the mirror image of an example shows the same class, so that training may flip it. Of digits and
            other characters it does not.
    """

    name: str
    split: str
    ids: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    fingerprint: str = ""
    flips: bool = True

    def __post_init__(self) -> None:
        lengths = {"ids": len(self.ids), "pixels": len(self.pixels), "labels": len(self.labels)}
        lengths |= {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"Images need one id, image and label for each example, not {lengths}.")
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] != 3:
            raise DataError(
                f"Pixels must be uint8 of shape (n, h, w, 3), not {self.pixels.dtype} of {self.pixels.shape}."
            )
        if not self.fingerprint:
            digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data).hexdigest()
            fingerprint = _fingerprint(self.pixels.shape, digest, self.labels, self.class_names)
            object.__setattr__(self, "fingerprint", fingerprint)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_classes(self) -> int:
        """The number of classes, whether or not each has examples."""
        return len(self.class_names)

    def select(self, positions: np.ndarray | slice) -> Images:
        """Return the examples at `positions` (rows, a mask (n,) or a slice); ids and fingerprint stay."""
        return replace(
            self,
            ids=self.ids[positions],
            pixels=self.pixels[positions],
            labels=self.labels[positions],
            columns={name: values[positions] for name, values in self.columns.items()},
        )

    def of_classes(self, names: Sequence[str]) -> Images:
        """Return the examples of these classes alone, labels in the order of `names`; ids stay.

        Raises:
            DataError: for a class that there is not, or that is named twice.
        """
        unknown = [name for name in names if name not in self.class_names]
        if unknown:
            known = did_you_mean(unknown[0], self.class_names)
            raise DataError(f"Expected names of classes of {self.name}, got {unknown[0]!r}.{known}")
        if len(set(names)) < len(names):
            raise DataError(f"Expected each class once, got {list(names)}.")
        place = np.full(self.num_classes, -1)
        place[[self.class_names.index(name) for name in names]] = np.arange(len(names))
        kept = self.select(np.flatnonzero(place[self.labels] >= 0))
        pixels, labels = np.ascontiguousarray(kept.pixels), place[kept.labels]
        return replace(kept, pixels=pixels, labels=labels, class_names=tuple(names), fingerprint="")


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

    def of_classes(self, names: Sequence[str]) -> ImageData:
        """Return the examples of these classes alone, labels in the order of `names`; all where there are no names."""
        return ImageData(self.name, self.train.of_classes(names), self.test.of_classes(names)) if names else self


def load_images(
    source: str | Path,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    image_size: int | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    train_split: str = "train",
    test_split: str = "test",
    flip: bool = True,
    processor: str | Path | None = None,
    ids: str | None = None,
    skip_unreadable: bool = False,
    class_names: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> ImageData:
    """Load the training and test images of a data set.

    Images are decoded once to uint8 RGB, then memory-mapped from a cache whose key is what `datasets` knows
    of the source (names and times of files, or the Hub's commit). Labels may be class labels, integers or
    strings; class names of plain integers and strings are their sorted values.

    Args:
        source: "digits", a local folder (Parquet files or an image folder, as `datasets` reads them), or a
            Hub id such as "uoft-cs/cifar100". "digits" are the 1,797 real 8×8 images that scikit-learn ships,
            their 17 grey levels scaled to 0 … 255 in RGB; every fifth example of each class is a test example
            (364 of them). A folder hides a Hub id of the same name; "./digits" is a folder called digits.
        image_column: needed where several columns hold images.
        label_column: needed where several columns may hold labels; CIFAR-100's is `fine_label` if not given.
        image_size: resize the shorter side to it and keep the centre square; needed where sizes differ.
        revision: a Hub data set's branch, tag or commit.
        cache_dir: of decoded images; by default `$UNLEARN_AUDIT_CACHE`, else `$HF_HOME/unlearn_audit`.
        train_split: the split that models are trained on, or a slice of it: "train[:10000]".
        test_split: the split of held-out examples, or a slice, such as "train[80%:]". Slices are of rows as they
            lie in the split, and keep their ids; those of an image folder lie class by class.
        flip: whether training may flip the images horizontally. Say no where a mirror image shows another class or
            none, as of house numbers, letters or road signs; "digits" are never flipped.
        processor: folder or Hub id of a model, or of its image processor: images are resized and cropped as it does,
            instead of by `image_size`.
        ids: what examples are known by: "file_name" of images in a folder, "content" (a hash of the pixels), or a
            column of the data. By default the number of the row, which is another's once a row before it is deleted.
        skip_unreadable: leave images out that cannot be read; the data's name, which reports state, says how many.
        class_names: what to call the classes, in the order of the labels, in the place of their own names: models know
            classes by name, and plain integers have none.
        classes: keep only the examples of these, with labels in this order: `("baby", "boy", "road")` of CIFAR-100.

    Raises:
        DataError: the source, a split, column or class is missing or ambiguous, an image unreadable, sizes differ.
    """
    if source == _EMBEDDED:
        _refuse_options(
            image_column,
            label_column,
            image_size,
            revision,
            train_split,
            test_split,
            processor,
            ids,
            tuple(class_names),
        )
        return _load_digits().of_classes(classes)
    if image_size is not None and image_size < 1:
        raise DataError(f"image_size must be a positive number of pixels, not {image_size}.")
    name, splits = open_splits(source, revision=revision, train_split=train_split, test_split=test_split)
    features = splits["train"].rows.features
    image_column = _columns.image_column(features, image_column, name=name)
    label_column = _columns.label_column(features, label_column, name=name)
    kept = {split: np.arange(part.count) for split, part in splits.items()}
    if skip_unreadable:
        kept = {split: _readable(part.rows, image_column) for split, part in splits.items()}
        lost = sum(part.count - len(kept[split]) for split, part in splits.items())
        splits = {split: replace(part, rows=part.rows.select(kept[split])) for split, part in splits.items()}
        name = f"{name} without {lost} unreadable images" if lost else name
    labels, own_names = _columns.encode_labels(
        {split: part.rows for split, part in splits.items()}, label_column, name=name
    )
    class_names = _columns.renamed(own_names, class_names, name=name)
    cache = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
    fit = _Fit.of(image_size, processor)
    loaded = {}
    for split, part in splits.items():
        data = part.rows
        pixels, digest = _pixels(data, image_column, fit, cache, where=f"the {split} split of {name}")
        columns = _other_columns(data, image_column, label_column, folder=Path(source).expanduser())
        numbers = np.arange(part.first, part.first + part.count)[kept[split]]
        loaded[split] = Images(
            name=name,
            split=split,
            ids=_ids(split, numbers) if ids is None else own_ids(ids, split, columns, pixels, name=name),
            pixels=pixels,
            labels=labels[split],
            class_names=class_names,
            columns=columns,
            fingerprint=_fingerprint(pixels.shape, digest, labels[split], class_names),
            flips=flip,
        )
    return ImageData(name, **loaded).of_classes(classes)


@dataclass(frozen=True)
class _Fit:
    """How images are resized and cropped, if they are, and what of the cache's key says so."""

    function: Fit | None
    key: Any

    @classmethod
    def of(cls, image_size: int | None, processor: str | Path | None) -> _Fit:
        if processor is not None:
            if image_size is not None:
                raise DataError("Expected image_size or processor, which says its own size, got both.")
            return cls(*fit_of(str(processor)))
        if image_size is None:
            return cls(None, None)
        from unlearn_audit.data._decode import square

        return cls(lambda image: square(image, image_size), image_size)


def _readable(data: Dataset, column: str) -> np.ndarray:
    """Return which rows hold images that can be read."""
    from unlearn_audit.data._decode import unreadable_rows

    tables = data.select_columns([column]).with_format("arrow").iter(_BATCH)
    return np.setdiff1d(np.arange(len(data)), unreadable_rows(table[column].to_pylist() for table in tables))


def _pixels(data: Dataset, column: str, fit: _Fit, cache: Path, *, where: str) -> tuple[np.ndarray, str]:
    """Return the decoded pixels (n, h, w, 3) of one split and their SHA-256, from the cache if there."""
    # The fingerprint that `datasets` keeps of its own cache has no public name.
    key = hashlib.sha256(json.dumps([_CACHE_VERSION, data._fingerprint, column, fit.key]).encode()).hexdigest()

    def blocks() -> Iterator[np.ndarray]:
        from unlearn_audit.data._decode import decode_all, with_progress

        tables = data.select_columns([column]).with_format("arrow").iter(_BATCH)
        encoded = (table[column].to_pylist() for table in tables)
        return with_progress(decode_all(encoded, fit=fit.function, where=where), len(data), where)

    return cached_pixels(cache, key, count=len(data), blocks=blocks)


def _other_columns(data: Dataset, image_column: str, label_column: str, *, folder: Path) -> dict[str, np.ndarray]:
    columns = _columns.slice_columns(data.remove_columns([image_column, label_column]))
    return {**read_file_names(data, image_column, folder.resolve()), **columns} if folder.is_dir() else columns


def _refuse_options(*given: object) -> None:
    if given != (None, None, None, None, "train", "test", None, None, ()):
        raise DataError(
            "'digits' is embedded and takes no columns, sizes, ids, revision, other splits or classes; leave them out."
        )


def _load_digits() -> ImageData:
    from unlearn_audit.data._digits import digits

    pixels, labels, is_test = digits()
    splits = {
        split: Images(
            name=_EMBEDDED,
            split=split,
            ids=_ids(split, np.arange(rows.sum())),
            pixels=pixels[rows],
            labels=labels[rows],
            class_names=tuple("0123456789"),
            flips=False,
        )
        for split, rows in (("train", ~is_test), ("test", is_test))
    }
    return ImageData(_EMBEDDED, **splits)


def _ids(split: str, numbers: np.ndarray) -> np.ndarray:
    return np.array([f"{split}-{row}" for row in numbers.tolist()], dtype=np.str_)


def _fingerprint(shape: tuple[int, ...], pixels_digest: str, labels: np.ndarray, class_names: tuple[str, ...]) -> str:
    header = {"shape": shape, "pixels": pixels_digest, "class_names": class_names}
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
