"""What must hold of predictions, and which rows of two models belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np

from unlearn_audit.bounded import TooLargeError, check_fits
from unlearn_audit.errors import PredictionsError
from unlearn_audit.names import is_unicode
from unlearn_audit.predictions.names import SPLITS

LONGEST_ID = 1000  # characters
RENORMALISED = "renormalised"  # in metadata: how far probabilities were from summing to 1
_LARGEST_GAP = 0.01 + 1e-6  # between a sum of probabilities and 1, that rounding may leave
_ROUNDING = 1e-5  # of which nothing is said: float32 leaves less
_SHOWN = 3  # offending ids in a message


class PredictionSource(Protocol):
    """Predictions wherever they are: in memory (`Predictions`) or in a file that is streamed (`PredictionsFile`)."""

    @property
    def name(self) -> str:
        """For messages, for example the file's."""

    @property
    def example_ids(self) -> np.ndarray:
        """Strings (n,), without duplicates."""

    @property
    def splits(self) -> np.ndarray:
        """For each example "train" or "test" (n,)."""

    @property
    def labels(self) -> np.ndarray:
        """Classes (n,), each in [0, c)."""

    @property
    def num_classes(self) -> int:
        """The number of classes c."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What is known of the model and its data."""

    def logit_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the logits (m, c) of all rows in order, m at most `size`."""

    @property
    def has_embeddings(self) -> bool:
        """Whether there are embeddings."""

    def embedding_chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield the embeddings (m, d) of all rows in order, m at most `size`."""

    def load_embeddings(self) -> np.ndarray | None:
        """Return the embeddings (n, d), or None if there are none."""


def check_index(name: str, ids: np.ndarray, splits: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    """Check ids (n,), splits (n,) and labels (n,) of one model; raises `PredictionsError`."""
    if not len(ids) == len(splits) == len(labels):
        raise PredictionsError(
            f"{name}: expected as many ids as splits and labels, got {len(ids)}, {len(splits)}, {len(labels)}."
        )
    if len(ids) == 0:
        raise PredictionsError(f"{name}: expected at least one example, found none.")
    if num_classes < 2:
        raise PredictionsError(f"{name}: expected logits of at least 2 classes, got {num_classes}.")
    texts = ids.tolist()
    if not "".join(texts).isprintable() or min(map(len, texts)) < 1 or max(map(len, texts)) > LONGEST_ID:
        wrong = next(text for text in texts if not 0 < len(text) <= LONGEST_ID or not text.isprintable())
        raise PredictionsError(f"{name}: expected ids of 1 to {LONGEST_ID} printable characters, got {wrong[:40]!r}.")
    if len(set(texts)) < len(texts):
        unique, counts = np.unique(ids, return_counts=True)
        raise PredictionsError(
            f"{name}: expected each example_id once, got some more often: {first_ids(unique[counts > 1])}."
        )
    foreign = np.logical_and.reduce([splits != split for split in SPLITS])
    if foreign.any():
        raise PredictionsError(
            f"{name}: expected split to be 'train' or 'test', got {str(splits[foreign][0])!r} at "
            f"{first_ids(ids[foreign])}. Say which it is: --set names.splits.NAME=test."
        )
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        raise PredictionsError(
            f"{name}: expected labels in [0, {num_classes}), got {labels[outside][0]} at {first_ids(ids[outside])}."
        )


def check_memory(name: str, needed: int) -> None:
    """Raise `PredictionsError` where `needed` bytes are more than this machine can spare; call it before allocating."""
    try:
        check_fits(needed)
    except TooLargeError as error:
        raise PredictionsError(f"{name}: {error}") from error


def check_metadata(name: str, metadata: Mapping[str, str]) -> None:
    """Raise `PredictionsError` unless a file can hold what is said of the model."""
    for key, value in metadata.items():
        if not is_unicode(f"{key}{value}"):
            raise PredictionsError(f"{name}: expected Unicode in the metadata, got {key!a}: {str(value)[:60]!a}.")


def check_finite(name: str, column: str, values: np.ndarray, ids: np.ndarray) -> None:
    """Check that values (n, m) are finite; raises `PredictionsError` with the first offending ids."""
    if len(values) != len(ids) or values.ndim != 2:
        raise PredictionsError(f"{name}: expected {column} of shape ({len(ids)}, …), got {values.shape}.")
    if not np.isfinite(values.sum(dtype=np.float64)):
        wrong = ~np.isfinite(values).all(axis=1)
        if wrong.any():
            raise PredictionsError(
                f"{name}: expected finite numbers in {column!r}, got NaN or infinity at {first_ids(ids[wrong])}."
            )


def check_no_probabilities(name: str, logits: np.ndarray) -> None:
    """Raise `PredictionsError` where all rows of `logits` (n, c), two at least, are probabilities."""
    first = logits[:2].astype(np.float64)
    if len(first) < 2 or not _are_distributions(first).all() or not _are_distributions(logits).all():
        return
    raise PredictionsError(
        f"{name}: expected logits, got probabilities: every row is at least 0 and sums to 1. Call the column "
        "`probabilities` (or take their logarithm): a softmax over probabilities makes all models look alike."
    )


def _are_distributions(values: np.ndarray) -> np.ndarray:
    return (values >= 0).all(axis=1) & (np.abs(values.sum(axis=1, dtype=np.float64) - 1) < 1e-3)


def as_logits(name: str, column: str, values: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, float]:
    """Return outputs (n, c) as logits, and how far a row of probabilities sums from 1 at most.

    A softmax over logarithms of probabilities gives the probabilities, divided by their sum. 0 becomes the smallest
    positive float32, so that its logarithm is finite, and so does a logarithm of minus infinity.

    Args:
        name: of the model or file, for errors.
        column: "logits", "log_probabilities" or "probabilities".
        values: (n, c).
        ids: (n,) of the examples.

    Raises:
        PredictionsError: for values that are not finite, and with ids whose row is no distribution.
    """
    tiny = np.finfo(np.float32).tiny
    if column == "log_probabilities":
        values = np.maximum(values.astype(np.float32), np.log(tiny))
    check_finite(name, column, values, ids)
    if column == "logits":
        check_no_probabilities(name, values)
        return values, 0.0
    probabilities = values.astype(np.float64)
    if column == "log_probabilities":
        with np.errstate(over="ignore"):  # refused below
            probabilities = np.exp(probabilities)
    gap = np.abs(probabilities.sum(axis=1) - 1)
    wrong = (probabilities < 0).any(axis=1) | ~(gap <= _LARGEST_GAP)
    if wrong.any():
        what = "logarithms of probabilities" if column == "log_probabilities" else "probabilities of at least 0"
        raise PredictionsError(
            f"{name}: expected {what} that sum to 1, got others at {first_ids(ids[wrong])}. "
            "Call the column `logits` if these are logits."
        )
    logits = values if column == "log_probabilities" else np.log(np.maximum(values.astype(np.float32), tiny))
    return logits, float(gap.max(initial=0))


def gap_in_words(gap: float) -> dict[str, str]:
    """Return what metadata says of probabilities that sum to 1 only about; nothing where float32 alone explains it."""
    return {RENORMALISED: f"{gap:.1g}"} if gap > _ROUNDING else {}


def normalised(named: Iterable[tuple[str, PredictionSource]]) -> tuple[str, ...]:
    """Say which models by name, all of whose logits were read, had their probabilities normalised; nothing of none."""
    found = {name: source.metadata[RENORMALISED] for name, source in named if RENORMALISED in source.metadata}
    if not found:
        return ()
    gap = max(found.values(), key=float)
    names = ", ".join([*found][:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
    return (f"Probabilities of {names} sum to 1 only within {gap}, as rounding leaves them: they were normalised.",)


def matching_rows(reference: PredictionSource, other: PredictionSource) -> np.ndarray | None:
    """Return for each row of `reference` the row of `other` with its id (n,), or None where the order is the same.

    Raises:
        PredictionsError: for missing or foreign ids, other labels or splits, or another number of classes.
    """
    if reference.num_classes != other.num_classes:
        raise PredictionsError(
            f"{other.name}: expected {reference.num_classes} classes as in {reference.name}, got {other.num_classes}."
        )
    mine, theirs = (source.metadata.get("data_fingerprint") for source in (reference, other))
    if mine and theirs and mine != theirs:
        raise PredictionsError(
            f"{other.name}: expected predictions on the data of {reference.name} ({mine[:12]}…), got some on other "
            f"data ({theirs[:12]}…): images, labels or their order differ, so rows of one id may be other examples. "
            "Make all predictions again on the same data."
        )
    rows = None
    if not np.array_equal(reference.example_ids, other.example_ids):
        rows = _rows_by_id(reference, other)
    for column in ("labels", "splits"):
        mine, theirs = getattr(reference, column), getattr(other, column)
        differs = mine != (theirs if rows is None else theirs[rows])
        if differs.any():
            raise PredictionsError(
                f"{other.name}: expected the same {column} as in {reference.name}, got others at "
                f"{first_ids(reference.example_ids[differs])}. Were these predictions made on the same data?"
            )
    return rows


def _rows_by_id(reference: PredictionSource, other: PredictionSource) -> np.ndarray:
    missing = np.setdiff1d(reference.example_ids, other.example_ids)
    foreign = np.setdiff1d(other.example_ids, reference.example_ids)
    if len(missing) or len(foreign):
        raise PredictionsError(
            f"{other.name}: expected the examples of {reference.name}, but {len(missing)} are missing"
            f"{f' ({first_ids(missing)})' if len(missing) else ''} and {len(foreign)} are foreign"
            f"{f' ({first_ids(foreign)})' if len(foreign) else ''}."
        )
    order = np.argsort(other.example_ids)
    return order[np.searchsorted(other.example_ids, reference.example_ids, sorter=order)]


def first_ids(ids: np.ndarray) -> str:
    """Return the first few ids, for a message."""
    shown = ", ".join(str(i)[:60] for i in ids[:_SHOWN])
    return shown + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
