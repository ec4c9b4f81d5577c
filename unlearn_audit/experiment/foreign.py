"""Predictions that were made elsewhere, brought onto the data of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from unlearn_audit.data import ImageData
from unlearn_audit.data._named_files import ids_of_files
from unlearn_audit.errors import PredictionsError
from unlearn_audit.predictions import Predictions, matching_rows


def on_the_data(found: Predictions, data: ImageData, *, classes: Sequence[str] = ()) -> Predictions:
    """Return predictions with the ids, the splits, the classes and the order of the data's examples.

    Rows are matched by id, or by file name where the images lie in a folder: "train/cat/1.png", "cat/1.png", "1.png".

    Args:
        found: the predictions.
        data: that they are on.
        classes: names in the order of their outputs, which is the data's own by default.

    Raises:
        PredictionsError: where they are of other data: by their fingerprint, by ids that are missing or foreign, by
            labels, or by the number or the names of classes.
    """
    found = _in_order_of(found, data.train.class_names, classes)
    fingerprint = found.metadata.get("data_fingerprint")
    if fingerprint not in (None, data.fingerprint):
        raise PredictionsError(
            f"{found.name}: expected predictions on {data.name} as it is now ({data.fingerprint[:12]}…), got some that "
            f"were made on other data ({fingerprint[:12]}…). Make them again."
        )
    ids = found.example_ids.tolist()
    for images in (data.train, data.test):
        ids = ids_of_files(ids, images)
    parts = (data.train, data.test)
    expected = Predictions(
        example_ids=np.concatenate([images.ids for images in parts]),
        splits=np.concatenate([np.full(len(images), images.split) for images in parts]),
        labels=np.concatenate([images.labels for images in parts]),
        logits=np.zeros((len(data.train) + len(data.test), found.num_classes), np.float32),
        name=f"the data {data.name}",
    )
    named = dataclasses.replace(found, example_ids=np.array(ids, dtype=np.str_))
    test = frozenset(data.test.ids.tolist())
    named = dataclasses.replace(named, splits=np.array(["test" if i in test else "train" for i in ids]))
    rows = matching_rows(expected, named)
    if rows is None:
        return named
    embeddings = None if named.embeddings is None else named.embeddings[rows]
    return dataclasses.replace(expected, logits=named.logits[rows], embeddings=embeddings, metadata=named.metadata)


def _in_order_of(found: Predictions, wanted: Sequence[str], classes: Sequence[str]) -> Predictions:
    """Return predictions whose outputs and labels, which are of `classes`, stand for the `wanted` ones."""
    if not classes or tuple(classes) == tuple(wanted):
        return found
    if sorted(classes) != sorted(wanted):
        missing = sorted(set(wanted) - set(classes)) or sorted(set(classes) - set(wanted))
        raise PredictionsError(
            f"{found.name}: expected names.classes to name the {len(wanted)} classes of the data, got {len(classes)}, "
            f"with {missing[0]!r} in one of both alone."
        )
    place = {name: index for index, name in enumerate(classes)}
    order = np.array([place[name] for name in wanted])  # their index of each wanted class
    return dataclasses.replace(found, logits=found.logits[:, order], labels=np.argsort(order)[found.labels])
