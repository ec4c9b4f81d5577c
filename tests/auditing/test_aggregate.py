from types import SimpleNamespace

import numpy as np
import pytest

from unlearn_audit.auditing.aggregate import aggregate_figures

POPULATION = np.array(["retain"] * 4 + ["forget"] * 2 + ["test"] * 2)


def scores(*correct):
    return SimpleNamespace(correct=np.array(correct, dtype=bool))


def test_figures_agree_with_their_closed_forms():
    found = aggregate_figures(
        {
            "u": scores(1, 1, 1, 0, 1, 0, 1, 0),
            "r1": scores(1, 1, 1, 1, 1, 1, 1, 1),
            "r2": scores(1, 1, 0, 1, 0, 1, 0, 1),
        },
        POPULATION,
        references=["r1", "r2"],
    )
    u = found["u"]
    assert (u.retain_accuracy, u.forget_accuracy, u.test_accuracy, u.unlearning_accuracy) == (0.75, 0.5, 0.5, 0.5)
    gaps = [abs(0.75 - 0.875), abs(0.5 - 0.75), abs(0.5 - 0.75)]
    assert u.average_gap == pytest.approx(sum(gaps) / 3)
    assert u.tug_of_war == pytest.approx((1 - gaps[0]) * (1 - gaps[1]) * (1 - gaps[2]))


def test_a_reference_is_compared_with_the_others_and_a_copy_has_no_gap():
    models = {"r1": scores(1, 1, 1, 1, 1, 1, 1, 1), "r2": scores(0, 0, 0, 0, 1, 1, 1, 1)}
    found = aggregate_figures({**models, "copy": models["r1"]}, POPULATION, references=["r1"])
    assert (found["copy"].average_gap, found["copy"].tug_of_war) == (0.0, 1.0)
    assert found["r1"].average_gap is None and found["r1"].tug_of_war is None
    both = aggregate_figures(models, POPULATION, references=["r1", "r2"])
    assert both["r1"].average_gap == pytest.approx(1 / 3)


def test_empty_populations_are_none_and_left_out_of_the_gap():
    population = np.array(["retain"] * 6 + ["forget"] * 2)
    models = {"u": scores(1, 1, 1, 1, 1, 1, 1, 1), "r": scores(0, 1, 1, 1, 1, 1, 1, 1)}
    found = aggregate_figures(models, population, references=["r"])["u"]
    assert found.test_accuracy is None
    assert found.average_gap == pytest.approx((1 / 6 + 0) / 2)
