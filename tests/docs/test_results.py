"""docs/results.md: made from the saved reports by its command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "making"))
import cifar100  # noqa: E402
import results  # noqa: E402


def test_the_page_is_what_the_command_makes() -> None:
    assert results.render() == results.PAGE.read_text(encoding="utf-8")


def test_levels_are_the_difference_from_retrained_models_in_points() -> None:
    study = results.Audited.load("boy")
    found = [report.judgements["ltd"].answers[0].findings[0] for report in study.reports]
    assert {f.group for f in found} == {"forget"} and {f.kind for f in found} == {"level"}
    assert study.level("ltd", "forget") == pytest.approx([100 * (f.value - f.expected) for f in found], rel=1e-4)
    assert study.answer("original", "forgotten") == "no: remembers"


def test_every_job_of_the_study_comes_after_what_it_needs() -> None:
    jobs = cifar100.jobs()
    places = {job: place for place, job in enumerate(jobs)}
    assert len(places) == len(jobs)
    assert all(places[need] < place for job, place in places.items() for need in job.needs)
    finals = [job for job in jobs if job.function == "final"]
    assert len(finals) == len(cifar100.METHODS) * len(cifar100.TUNED_ON) * len(cifar100.ORIGINALS) * len(cifar100.SEEDS)


def test_every_setting_that_is_tried_makes_a_method() -> None:
    for label, tried in cifar100.METHODS.items():
        for value in tried.values:
            method, config = tried.make(value, seed=1, oracle=Path("oracle"))
            assert value in (config.learning_rate, getattr(method, tried.setting, None)), label
