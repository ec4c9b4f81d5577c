"""Whether the original and the references were trained in the same way, by the metadata of their predictions."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.made_up_audit import N_TRAIN, made_up
from unlearn_audit.auditing.audit import audit_subject
from unlearn_audit.auditing.models import AuditedModel, AuditSubject
from unlearn_audit.auditing.neighbours import neighbourhood_of
from unlearn_audit.auditing.trainings import training_notes
from unlearn_audit.neighbourhood import NeighbourhoodConfig

PLAIN = {"architecture": "resnet20", "epochs": 16, "batch_size": 256}
FAST = {"architecture": "cnn8", "epochs": 4, "batch_size": 256}
IDS = made_up(0).example_ids[:N_TRAIN:10]


def model(seed: int, training: object) -> AuditedModel:
    """A model whose predictions say how it was trained: a value to be written as JSON, a text as it is, or nothing."""
    predictions = made_up(seed)
    text = training if isinstance(training, str) else json.dumps(training)
    said = {} if training is None else {"training": text}
    return AuditedModel((dataclasses.replace(predictions, metadata={**predictions.metadata, **said}),))


def subject(original: object, *references: object) -> AuditSubject:
    return AuditSubject(
        candidates={"u": model(50, None)},
        references={f"r{k}": model(k, training) for k, training in enumerate(references)},
        original=model(51, original),
        forget_ids=IDS,
    )


def test_a_cheaper_recipe_of_the_references_is_told_in_the_report_and_withholds_nothing() -> None:
    whole, same = subject(PLAIN, FAST, FAST, FAST), subject(FAST, FAST, FAST, FAST)
    found, plain = (
        audit_subject(each, neighbourhood_of(NeighbourhoodConfig(number=3), each), measures=["js"]).report
        for each in (whole, same)
    )
    (told,) = [note for note in found.controls.notes if "same way" in note]
    assert told.startswith(
        "The original and the references were not trained in the same way: "
        'architecture "resnet20" (original), "cnn8" (r0, r1, r2); epochs 16 (original), 4 (r0, r1, r2). '
    )
    assert "batch" not in told and not found.controls.withheld and found.judgements == plain.judgements
    assert not [note for note in plain.controls.notes if "same way" in note]


@pytest.mark.parametrize("unknown", [None, "no JSON", "[1, 2]", "[" * 100_000, "{}", '{"\\u001b[2J": 1}'])
def test_nothing_is_said_of_what_is_not_known(unknown) -> None:
    assert training_notes(subject(unknown, FAST, FAST)) == ()
    assert training_notes(subject(FAST, FAST, unknown)) == ()


def test_references_that_differ_among_themselves_are_named() -> None:
    (told,) = training_notes(subject(None, FAST, FAST, {**FAST, "flip": "random"}, {**FAST, "batch_size": 512}))
    assert told.startswith("The references were not trained in the same way: batch size 256 (r0, r1, r2), 512 (r3). ")


def test_many_differences_and_many_models_stay_short() -> None:
    many = [{f"s{n}": k for n in range(5)} | {"long": "x" * 1000} for k in (0, 1, 1, 1, 1, 1)]
    (told,) = training_notes(subject({**many[0], "long": "y" * 1000}, *many))
    assert "s0 0 (original, r0), 1 (r1, r2, r3 and 2 more); s1" in told and "and 3 more settings" in told
    assert len(told) < 600
