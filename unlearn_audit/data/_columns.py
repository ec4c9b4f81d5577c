"""Which columns of a data set hold its images and labels, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearn_audit.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset, Features

# Where two label columns fit and everybody means the same one: the candidates, and the one that is meant.
_KNOWN_LABELS = {frozenset({"fine_label", "coarse_label"}): "fine_label"}  # CIFAR-100
_SHOWN = 10  # classes in a message
_LONGEST_STRING = 200  # longer strings (captions, documents) are no use as slices and would fill the memory


def image_column(features: Features, asked: str | None, *, name: str) -> str:
    """Return the only column of images, or the one that was `asked` for."""
    from datasets import Image

    images = [c for c, feature in features.items() if isinstance(feature, Image)]
    candidates = images or [c for c, feature in features.items() if _holds_image_bytes(feature)]
    if asked is not None:
        return _asked(asked, candidates, features, option="image_column", kind="images", name=name)
    return _only(candidates, features, option="image_column", kind="images", name=name)


def label_column(features: Features, asked: str | None, *, name: str) -> str:
    """Return the only column of class labels, else of integers or strings, or the one `asked` for."""
    from datasets import ClassLabel

    scalars = [c for c, feature in features.items() if _is_scalar(feature)]
    if asked is not None:
        return _asked(asked, scalars, features, option="label_column", kind="labels", name=name)
    candidates = [c for c in scalars if isinstance(features[c], ClassLabel)] or scalars
    known = _KNOWN_LABELS.get(frozenset(candidates))
    return known or _only(candidates, features, option="label_column", kind="labels", name=name)


def encode_labels(
    splits: Mapping[str, Dataset], column: str, *, name: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Return the labels (n,) int64 of each split, and the class names that they index.

    Class names are the feature's own; of plain integers and strings they are the sorted values.
    """
    from datasets import ClassLabel

    values = {split: _values(data, column, split, name=name) for split, data in splits.items()}
    features = [data.features[column] for data in splits.values()]
    if all(isinstance(feature, ClassLabel) for feature in features):
        class_names = features[0].names
        if any(feature.names != class_names for feature in features):
            raise DataError(f"The splits of {name} name the classes of {column!r} differently; give them one list.")
        return {split: v.astype(np.int64) for split, v in values.items()}, tuple(class_names)
    classes = np.unique(np.concatenate(list(values.values())))
    labels = {split: np.searchsorted(classes, v).astype(np.int64) for split, v in values.items()}
    return labels, tuple(str(c) for c in classes.tolist())


def renamed(own: tuple[str, ...], given: Sequence[str], *, name: str) -> tuple[str, ...]:
    """Return the names of the classes that were `given` in the place of their `own`, which stay where none were."""
    if not given:
        return own
    if len(set(given)) != len(own) or len(given) != len(own):
        shown = f"{', '.join(own[:_SHOWN])}{', …' if len(own) > _SHOWN else ''}"
        raise DataError(
            f"Expected class_names to be {len(own)} different names, for the classes of {name} ({shown}), got "
            f"{len(given)}."
        )
    return tuple(given)


def slice_columns(data: Dataset) -> dict[str, np.ndarray]:
    """Return the columns that can tell slices apart, each (n,): integers, class names and short strings.

    A missing value is the empty string; integers of a column with missing values become strings.
    """
    names = [c for c, feature in data.features.items() if _is_scalar(feature)]
    if not names:
        return {}
    table = data.select_columns(names).with_format("arrow")[:]
    columns = {c: _slice_values(data.features[c], table[c]) for c in names}
    return {c: values for c, values in columns.items() if values.dtype.itemsize <= 4 * _LONGEST_STRING}


def _values(data: Dataset, column: str, split: str, *, name: str) -> np.ndarray:
    from datasets import ClassLabel

    if column not in data.features:
        raise DataError(f"The {split} split of {name} has no column {column!r}.{did_you_mean(column, data.features)}")
    values = data.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    unlabelled = -1 if isinstance(data.features[column], ClassLabel) else None
    missing = [row for row, value in enumerate(values) if value is None or value == unlabelled]
    if missing:
        raise DataError(
            f"{len(missing)} rows of the {split} split of {name} have no label in {column!r} (the first is "
            f"row {missing[0]}); choose a labelled split, or leave these rows out."
        )
    return np.array(values)


def _slice_values(feature: Any, values: pyarrow.ChunkedArray) -> np.ndarray:
    from datasets import ClassLabel

    items = values.to_pylist()
    if isinstance(feature, ClassLabel):
        return np.array(["" if i is None or i < 0 else feature.names[i] for i in items], dtype=np.str_)
    if feature.dtype in ("string", "large_string"):
        return np.array([(i or "")[: _LONGEST_STRING + 1] for i in items], dtype=np.str_)
    if values.null_count:
        return np.array(["" if i is None else str(i) for i in items], dtype=np.str_)
    return np.array(items, dtype=np.int64)


def _is_scalar(feature: object) -> bool:
    from datasets import ClassLabel, Value

    if not isinstance(feature, Value | ClassLabel):
        return False
    return feature.dtype.startswith(("int", "uint")) or feature.dtype in ("string", "large_string", "bool")


def _holds_image_bytes(feature: object) -> bool:
    """Parquet from elsewhere has no image type, but a struct of bytes and path, or plain binary."""
    if isinstance(feature, dict):
        return feature.keys() == {"bytes", "path"}
    return getattr(feature, "dtype", None) in ("binary", "large_binary")


def _asked(asked: str, fitting: Iterable[str], features: Features, *, option: str, kind: str, name: str) -> str:
    if asked not in features:
        raise DataError(f"{name} has no column {asked!r}.{did_you_mean(asked, features)}")
    if asked not in fitting:
        raise DataError(f"Column {asked!r} of {name} holds no {kind}; {option} could be: {_listed(fitting)}.")
    return asked


def _only(candidates: list[str], features: Features, *, option: str, kind: str, name: str) -> str:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise DataError(
            f"{name} has {len(candidates)} columns that may hold its {kind}: {_listed(candidates)}. "
            f"Say which with {option}."
        )
    raise DataError(f"{name} has no column that holds {kind}; its columns are: {_listed(features)}.")


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(columns) or "none"
